// The page of the Gyre server: a chat, the server's gauges, and what sparse attention selected.
// Text that comes from the server or the model is only ever set as text, never as markup.
const $ = (id) => document.getElementById(id);
const el = (tag, properties, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};
const count = new Intl.NumberFormat('en').format;

// ---- server
async function call(path, body, signal) {
  const key = $('api-key').value.trim();
  const headers = { 'Content-Type': 'application/json', ...(key && { Authorization: `Bearer ${key}` }) };
  const options = { method: body ? 'POST' : 'GET', body: body && JSON.stringify(body), headers, signal };
  const response = await fetch(path, options).catch((error) => {
    throw new Error(`The server does not answer (${error.message}).`);
  });
  if (response.ok) return response;
  const answer = await response.json().catch(() => null);
  throw new Error(`${answer?.error?.message ?? response.statusText} (HTTP ${response.status})`);
}

// The objects of a stream of server-sent events, until [DONE].
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ''; ;) {
    const { value, done } = await reader.read();
    if (done) throw new Error('The stream ended before the answer was complete.');
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith('data:')) continue; // blank, or a comment that keeps the connection alive
      const data = line.slice(5).trim();
      if (data === '[DONE]') return;
      const event = JSON.parse(data);
      if (event.error) throw new Error(event.error.message);
      yield event;
    }
  }
}

let model = null;
async function findModel() {
  $('model').textContent = model ??= (await (await call('/v1/models')).json()).data[0].id;
}

// ---- chat
let history = []; // the messages of the conversation, as the API takes them
let running = null; // AbortController of the answer being streamed
const answers = new WeakMap(); // .answer element -> the answer, with its token ids

function setBusy(busy, error = '') {
  $('send').disabled = busy;
  $('stop').disabled = !busy;
  $('error').textContent = error; // hidden while empty
}

function newTurn(kind, title, ...parts) {
  return el('article', { className: `turn ${kind}` }, el('h3', { textContent: title }), ...parts);
}

function newAnswer() {
  const thoughts = el('div', { className: 'text' }), body = el('div', { className: 'text' });
  const label = el('summary'), fold = el('details', { className: 'reasoning', hidden: true }, label, thoughts);
  const foot = el('p', { className: 'foot', textContent: 'waiting' });
  const node = newTurn('answer', 'Model', fold, body, foot), started = performance.now();
  const answer = { node, thoughts, body, label, fold, foot, started, promptIds: null, ids: [] };
  answers.set(node, answer);
  return answer;
}

// One span per chunk: a token, or the several tokens of one character, and then it stands for the first.
function addText(parent, text, index, tokens) {
  const last = parent.lastElementChild;
  if (!tokens && last) return last.append(text); // the rest of a text whose tokens came before
  const className = text.startsWith('\n') ? 'token newline' : 'token';
  const span = el('span', { className, textContent: text, role: 'button', tabIndex: last ? -1 : 0 });
  span.dataset.index = index;
  parent.append(span);
}

function addChunk(answer, event) {
  const choice = event.choices?.[0] ?? {};
  const ids = choice.token_ids ?? [], index = answer.ids.length;
  const thought = choice.delta?.reasoning_content, text = choice.delta?.content ?? choice.text;
  answer.promptIds ??= event.prompt_token_ids;
  answer.usage = event.usage ?? answer.usage;
  answer.finish = choice.finish_reason ?? answer.finish;
  answer.ids.push(...ids);
  if (ids.length || thought || text) answer.first ??= performance.now();
  if (thought) {
    answer.fold.hidden = false;
    answer.label.textContent = `Reasoning, ${count(answer.ids.length)} tokens`;
    addText(answer.thoughts, thought, index, ids.length);
  }
  if (text) addText(answer.body, text, index, ids.length);
  answer.foot.textContent = `${count(answer.ids.length)} tokens`;
}

function finishFoot({ usage, promptIds, ids, started, first, finish, foot }, stopped) {
  const wait = (first - started) / 1000, rate = (ids.length - 1) / (performance.now() - first) * 1000;
  const prompt = usage?.prompt_tokens ?? promptIds?.length ?? 0, made = usage?.completion_tokens ?? ids.length;
  foot.textContent = `${count(prompt)} prompt + ${count(made)} tokens · first after ${wait.toFixed(2)} s · ${
    rate.toFixed(1)} tokens/s · ${stopped ? 'stopped' : finish ?? 'broken off'}`;
}

function requestFor(text, chat, earlier) {
  const system = $('system').value.trim();
  const messages = [...(system ? [{ role: 'system', content: system }] : []), ...earlier, { role: 'user', content: text }];
  return {
    model, stream: true, stream_options: { include_usage: true }, return_token_ids: true,
    max_tokens: Number($('max-tokens').value), temperature: Number($('temperature').value),
    ...(chat ? { messages, chat_template_kwargs: { thinking: $('thinking').checked } } : { prompt: text }),
  };
}

async function send(event) {
  event.preventDefault();
  const text = $('prompt').value;
  if (running || !text.trim()) return;
  const chat = $('mode').value === 'chat', path = chat ? '/v1/chat/completions' : '/v1/completions';
  const mine = history; // Clear starts another list; an answer it stops must not reach that one
  const log = $('conversation'), answer = newAnswer();
  const question = newTurn('user', chat ? 'You' : 'Text to complete', el('div', { className: 'text', textContent: text }));
  const { signal } = running = new AbortController();
  let failure = '', drawn = true;
  setBusy(true);
  $('prompt').value = '';
  log.append(question, answer.node);
  log.scrollTop = log.scrollHeight;
  try {
    await findModel();
    for await (const chunk of events(await call(path, requestFor(text, chat, mine), signal))) {
      if (drawn) { // look once a frame, not once a token: a long answer takes a while to lay out
        const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40; // follow, unless scrolled away
        drawn = false;
        requestAnimationFrame(() => { drawn = true; if (atEnd) log.scrollTop = log.scrollHeight; });
      }
      addChunk(answer, chunk);
    }
  } catch (error) {
    if (!signal.aborted) failure = error.message;
  }
  if (answer.first) {
    finishFoot(answer, signal.aborted);
    if (chat) mine.push({ role: 'user', content: text }, { role: 'assistant', content: answer.body.textContent });
  } else { // nothing came: take the turn back, and give the prompt back
    for (const node of [question, answer.node]) node.remove();
    if (mine === history) $('prompt').value ||= text;
  }
  running = null;
  setBusy(false, failure);
}

// ---- selections
let inspecting = null; // AbortController of the newest question to /inspect
let selection = null; // its answer, with for each position the count of layers that selected it
const summarize = (text, kind) => Object.assign($('selection-summary'), { textContent: text, className: kind });

async function inspect(token) {
  const { promptIds, ids } = answers.get(token.closest('.answer'));
  document.querySelector('.token.picked')?.classList.remove('picked');
  token.classList.add('picked');
  inspecting?.abort();
  const { signal } = inspecting = new AbortController();
  $('selection-detail').hidden = $('layer').disabled = true;
  summarize('Running the model over the context …', '');
  try {
    if (!promptIds) throw new Error('The server sent no token ids with this answer.');
    const question = { input_ids: promptIds.concat(ids.slice(0, token.dataset.index)) };
    const found = await (await call('/inspect', question, signal)).json();
    const counts = new Uint16Array(found.tokens.length);
    for (const positions of found.layers) for (const p of positions) counts[p]++;
    selection = { ...found, counts, picked: token.textContent };
    showContext(selection);
  } catch (error) {
    if (!signal.aborted) summarize(error.message, 'failed');
  }
  $('selection').scrollIntoView({ block: 'nearest' }); // on a narrow screen it is below
}

function showContext({ tokens, layers, counts }) {
  const chosen = $('layer').value; // kept from one token to the next
  $('layer').replaceChildren(...['all', ...layers.keys()].map((value) => el('option', { value, textContent: value })));
  $('layer').value = layers[chosen] ? chosen : 'all';
  $('context-tokens').replaceChildren(...tokens.map((text, p) => {
    const span = el('span', { className: text.startsWith('\n') ? 'ctx newline' : 'ctx', textContent: text });
    span.title = `position ${p}, selected by ${counts[p]} of ${layers.length} layers`;
    Object.assign(span.dataset, { position: p, layers: counts[p] });
    return span;
  }));
  $('selection-detail').hidden = $('layer').disabled = false;
  showLayer();
}

function showLayer() {
  const { tokens, layers, counts, index_topk: topk, all_visible: everything, picked } = selection;
  const chosen = $('layer').value, one = chosen === 'all' ? null : new Set(layers[chosen]);
  const shares = tokens.map((_, p) => (one ? Number(one.has(p)) : counts[p] / layers.length));
  [...$('context-tokens').children].forEach((span, p) => {
    span.style.setProperty('--share', shares[p]);
    span.classList.toggle('unselected', !shares[p]);
  });
  const selected = count(shares.filter(Boolean).length), shorter = tokens.length < topk ? 'shorter' : 'no longer';
  const who = one ? `layer ${chosen} attends` : `all ${layers.length} layers together attend`;
  const rest = everything ? `. The context is ${shorter} than index_topk (${count(topk)}), so everything is selected.`
    : `; oldest at ${count(shares.findIndex((share) => share > 0))}`;
  summarize(`Predicting ${JSON.stringify(picked)}, ${who} to ${selected} of ${count(tokens.length)} tokens${rest}`, 'result');
}

// ---- gauges
const tenths = (value) => value.toFixed(1), whole = (value) => value.toFixed(0), percent = (value) => `${whole(value)}%`;
const CHARTS = { // chart: its traces (each also a reading, #stat-…), least full scale, how a reading is written
  'chart-tokens': [['rate'], 10, tenths], 'chart-prompt': [['prompt'], 10, tenths],
  'chart-usage': [['usage', 'hit'], 100, percent], 'chart-requests': [['running', 'queue'], 5, whole],
};
const samples = [], WINDOW = 120, PAUSE = 5; // seconds; a field that is no number is a gap in its trace
let before = null; // the counters at the last sample, for the rates
let sampling = false; // a slow answer must not pile up others behind it
async function sample(t) {
  let values = {}, status = 'connected';
  try {
    const text = await (await call('/metrics', null, AbortSignal.timeout(5000))).text();
    const lines = text.matchAll(/^gyre_(\w+)(?:\{.*\})? +(\S+)/gm);
    const now = Object.fromEntries([...lines].map(([, name, value]) => [name, Number(value)]));
    // No rate over a pause, nor from a counter that a new server began again at 0.
    const passed = t - before?.t, grown = (name) => passed < PAUSE && now[name] >= before[name];
    const rate = (name) => (grown(name) ? (now[name] - before[name]) / passed : NaN);
    values = {
      rate: rate('generation_tokens_total'), prompt: rate('prompt_tokens_total'), usage: now.token_usage * 100,
      hit: now.cache_hit_rate * 100, running: now.num_running_reqs, queue: now.num_queue_reqs,
    };
    before = { ...now, t };
    await findModel();
  } catch (error) {
    model = null; // what comes back may serve another one
    status = `${error.message} Trying again every second.`;
  }
  if ($('status').textContent !== status) $('status').textContent = status; // said aloud once, not every second
  $('status').dataset.state = model ? 'ok' : 'gone';
  samples.push({ t, ...values });
  while (samples[0].t < t - WINDOW) samples.shift();
}

function drawCharts() {
  const last = samples.at(-1);
  for (const [id, [keys, floor, write]] of Object.entries(CHARTS)) {
    const most = Math.max(floor, ...samples.flatMap((s) => keys.map((key) => s[key] || 0)));
    const power = 10 ** Math.floor(Math.log10(most));
    const top = [1, 2, 5, 10].find((step) => step * power >= most) * power;
    $(id).nextElementSibling.textContent = write === percent ? '100%' : count(top);
    keys.forEach((key, i) => {
      const known = (s) => Number.isFinite(s?.[key]);
      const joined = (s, previous) => known(previous) && s.t - previous.t < PAUSE;
      const points = samples.map((s, k) => known(s) && `${joined(s, samples[k - 1]) ? 'L' : 'M'}${
        tenths(WINDOW - last.t + s.t)} ${tenths(97 - 94 * s[key] / top)}`);
      $(id).children[i].setAttribute('d', points.filter(Boolean).join(''));
      $(`stat-${key}`).textContent = known(last) ? write(last[key]) : '–';
    });
  }
}

setInterval(async () => {
  if (document.hidden || sampling) return;
  sampling = true;
  await sample(performance.now() / 1000);
  drawCharts();
  sampling = false;
}, 1000);

// ---- wiring
$('composer').addEventListener('submit', send);
$('prompt').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $('composer').requestSubmit();
});
$('stop').addEventListener('click', () => running?.abort());
$('clear').addEventListener('click', () => {
  running?.abort();
  history = [];
  for (const id of ['conversation', 'error']) $(id).replaceChildren();
});
$('mode').addEventListener('change', () => { $('thinking').disabled = $('system').disabled = $('mode').value !== 'chat'; });
$('api-key').value = sessionStorage.getItem('api-key') ?? '';
$('api-key').addEventListener('input', () => sessionStorage.setItem('api-key', $('api-key').value));
$('conversation').addEventListener('click', ({ target }) => { // but not at the end of marking text to copy
  if (target.matches('.token') && getSelection().isCollapsed) inspect(target);
});
$('conversation').addEventListener('keydown', (event) => { // an answer is one tab stop; arrow keys move within it
  const token = event.target;
  if (!token.matches('.token')) return;
  const next = { ArrowLeft: token.previousElementSibling, ArrowRight: token.nextElementSibling }[event.key];
  if (next) {
    [token.tabIndex, next.tabIndex] = [-1, 0];
    next.focus();
  } else if (event.key === 'Enter' || event.key === ' ') inspect(token);
  else return;
  event.preventDefault();
});
$('layer').addEventListener('change', showLayer);
