// Uses the official client as its users do, and prints what it saw as one JSON object: OpenAiClientTest says what is
// right. Arguments: the base URL of a scripted model, that of another model that wants an API key, and this key.
import OpenAI from 'openai';

const [base, lockedBase, key] = process.argv.slice(2);
const connect = (baseURL, apiKey) => new OpenAI({ baseURL: `${baseURL}/v1`, apiKey, maxRetries: 0, timeout: 60_000 });
const client = connect(base, 'unused'), locked = connect(lockedBase, key);
const { id: model } = (await client.models.list()).data[0];
const user = (content) => [{ role: 'user', content }];
const messages = user('Weather?');
const ask = { model, messages, temperature: 0 };
const long = { model, messages: user('Tell me a story.'), temperature: 0, max_tokens: 8000, ignore_eos: true };
const tools = [
  { type: 'function', function: { name: 'get_weather', parameters: {
    type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } } } } },
  { type: 'function', function: { name: 'get_time', parameters: { type: 'object', properties: {} } } },
];
const calls = (message) => message.tool_calls?.map(({ id, type, function: { name, arguments: json } }) => (
  { id, type, name, arguments: JSON.parse(json) }));

async function all(stream) {
  const chunks = [];
  for await (const chunk of await stream) chunks.push(chunk);
  return chunks;
}

const joined = (chunks, text) => chunks.flatMap((chunk) => chunk.choices).map((choice) => text(choice) ?? '').join('');

// The error of a call that must fail, by the class that a user would catch.
async function failure(call) {
  const error = await call().then(() => null, (thrown) => thrown);
  if (!error) return { class: 'none: it succeeded' };
  const { status, code, type, param, message } = error;
  return { class: error.constructor.name, status, code, type, param, message };
}

// How many requests the second server runs and has given up, once it is at rest after giving up one more.
let aborted = 0;
async function atRest() {
  aborted++;
  const value = (text, name) => Number(text.match(new RegExp(`^gyre_${name}\\{.*\\} (\\S+)`, 'm'))[1]);
  for (let tries = 0; ; tries++) {
    const text = await (await fetch(`${lockedBase}/metrics`)).text();
    const seen = { running: value(text, 'num_running_reqs'), aborted: value(text, 'num_aborted_requests_total') };
    if (tries === 200 || seen.running === 0 && seen.aborted === aborted) return seen;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const steps = {
  async models() {
    const listed = [];
    for await (const one of client.models.list()) listed.push(one);
    return { listed, retrieved: await client.models.retrieve(model) };
  },

  async completion() {
    return client.completions.create({ model, prompt: 'Weather?</think>', temperature: 0, max_tokens: 3, logprobs: 2 });
  },

  async completionStream() {
    const chunks = await all(client.completions.create({
      model, prompt: 'Weather?</think>', temperature: 0, max_tokens: 3, stream: true,
      stream_options: { include_usage: true } }));
    return {
      chunks: chunks.length, text: joined(chunks, (choice) => choice.text), usage: chunks.at(-1).usage,
      finish: chunks.at(-2).choices[0].finish_reason };
  },

  async chat() {
    return client.chat.completions.create(ask);
  },

  async parts() {
    const content = [{ type: 'text', text: 'Weath' }, { type: 'text', text: 'er?' }];
    const system = { role: 'system', content: 'Brief.' };
    return client.chat.completions.create({ ...ask, messages: [system, ...user(content)] });
  },

  async chatStream() {
    const chunks = await all(client.chat.completions.create(
      { ...ask, stream: true, stream_options: { include_usage: true } }));
    return {
      ids: new Set(chunks.map((chunk) => chunk.id)).size, kinds: [...new Set(chunks.map((chunk) => chunk.object))],
      role: chunks[0].choices[0].delta.role, content: joined(chunks, (choice) => choice.delta.content),
      finish: chunks.at(-2).choices[0].finish_reason, early: chunks.slice(0, -1).filter((chunk) => chunk.usage).length,
      lastChoices: chunks.at(-1).choices.length, usage: chunks.at(-1).usage, withText: chunks.filter(
        (chunk) => chunk.choices[0]?.delta.content).length };
  },

  async tools() {
    const { choices: [{ message, finish_reason: finish }] } = await client.chat.completions.create({ ...ask, tools });
    const results = message.tool_calls.map(({ id }) => ({ role: 'tool', tool_call_id: id, content: 'sunny, 12:00' }));
    const then = [...messages, message, ...results];
    const second = await client.chat.completions.create({ ...ask, tools, messages: then });
    return { content: message.content, finish, calls: calls(message), second };
  },

  // The client's own accumulator.
  async toolStream() {
    const events = [];
    const stream = client.chat.completions.stream({ ...ask, tools, stream_options: { include_usage: true } });
    stream.on('tool_calls.function.arguments.done', ({ index, name, parsed_arguments, arguments: json }) => events.push(
      { index, name, arguments: parsed_arguments ?? JSON.parse(json) }));
    const { choices: [{ message, finish_reason: finish }], usage } = await stream.finalChatCompletion();
    return { content: message.content, finish, calls: calls(message), events, usage };
  },

  // The client calls the functions itself. The model asks for them again each time, so it is stopped after two answers.
  async runTools() {
    const called = [];
    const functions = tools.map((tool) => ({ type: 'function', function: {
      ...tool.function, parse: JSON.parse, function: (args) => {
        called.push({ name: tool.function.name, arguments: args });
        return 'sunny, 12:00';
      } } }));
    const twice = { maxChatCompletions: 2 };
    const runner = client.chat.completions.runTools({ ...ask, tools: functions, stream: true }, twice);
    await runner.done();
    return { called, roles: runner.messages.map(({ role }) => role) };
  },

  async thinking() {
    const thinking = { ...ask, tools, chat_template_kwargs: { thinking: true } };
    const whole = await client.chat.completions.create(thinking);
    const chunks = await all(client.chat.completions.create({ ...thinking, stream: true }));
    return {
      message: whole.choices[0].message, usage: whole.usage,
      streamedReasoning: joined(chunks, (choice) => choice.delta.reasoning_content),
      streamedContent: joined(chunks, (choice) => choice.delta.content) };
  },

  async several() {
    const whole = await client.chat.completions.create({ ...ask, n: 2, max_tokens: 2 });
    const stream = client.chat.completions.stream({ ...ask, n: 2, max_tokens: 2 });
    return { whole, streamed: await stream.finalChatCompletion() };
  },

  async logprobs() {
    const fields = { ...ask, max_tokens: 2, logprobs: true, top_logprobs: 2 };
    const whole = await client.chat.completions.create(fields);
    const streamed = await client.chat.completions.stream(fields).finalChatCompletion();
    return { whole: whole.choices[0].logprobs.content, streamed: streamed.choices[0].logprobs.content };
  },

  async stop() {
    return client.chat.completions.create({ ...ask, stop: ['ook it', 'never'] });
  },

  async abort() {
    const controller = new AbortController();
    const stream = await locked.chat.completions.create({ ...long, stream: true }, { signal: controller.signal });
    let chunks = 0;
    for await (const chunk of stream) {
      if (chunk.choices[0].delta.content && ++chunks === 5) controller.abort();
    }
    return { chunks, ...await atRest() };
  },

  // Leaving the loop is enough.
  async leave() {
    const stream = await locked.chat.completions.create({ ...long, stream: true });
    for await (const chunk of stream) {
      if (chunk.choices[0].delta.content) break;
    }
    return atRest();
  },

  async errors() {
    const create = (fields, by = client) => () => by.chat.completions.create({ ...ask, ...fields });
    return {
      model: await failure(create({ model: 'nobody' })),
      retrieved: await failure(() => client.models.retrieve('nobody')),
      temperature: await failure(create({ temperature: -1 })),
      stream: await failure(create({ temperature: -1, stream: true })),
      message: await failure(create({ messages: [{ role: 'user', content: [{ type: 'image_url' }] }] })),
      length: await failure(create({ max_tokens: 1_000_000 })),
      completion: await failure(() => client.completions.create({ model, prompt: 'x', max_tokens: 'many' })),
      wrongKey: await failure(create({}, connect(lockedBase, 'wrong'))),
      rightKey: await failure(create({ max_tokens: 1 }, locked)),
    };
  },

  async abortOfAWhole() {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 300);
    const { class: name } = await failure(
      () => locked.chat.completions.create(long, { signal: controller.signal }));
    return { class: name, ...await atRest() };
  },
};

const report = {};
for (const [name, step] of Object.entries(steps)) {
  report[name] = await step().catch((error) => ({ threw: error.stack })); // and the others still have their turn
}
console.log(JSON.stringify(report));
