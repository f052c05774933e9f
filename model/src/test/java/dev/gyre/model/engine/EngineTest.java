package dev.gyre.model.engine;

import static dev.gyre.model.Failures.assertSays;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.model.Model;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.generate.Generation;
import dev.gyre.model.generate.Generation.FinishReason;
import dev.gyre.model.generate.GenerationOptions;
import dev.gyre.model.generate.Generator;
import dev.gyre.model.generate.Logprobs;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.generate.SamplingOptions;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Many requests at once on the embedded model: the answers are those that each would get alone, and pages come back. */
class EngineTest {
    private static final int CONTEXT = 1024;

    private Engine engine;

    private Engine open(EngineOptions options) {
        engine = Engine.create(options.withModel(ModelOptions.defaults().withContextLength(CONTEXT)));
        return engine;
    }

    @AfterEach
    void closeAndLookForLeaks() throws InterruptedException {
        if (engine != null) {
            engine.drain(Duration.ofSeconds(20));
            assertEquals(0, engine.stats().running());
            assertEquals(0, engine.stats().tokensInUse());
            engine.close();
        }
    }

    private static int[] words(int count, int seed) {
        return new Random(seed).ints(count, 100, 4000).toArray();
    }

    /** What a request gets alone, by another way through the code. */
    private static int[][] alone(List<GenerationRequest> requests) {
        int[][] answers = new int[requests.size()][];
        try (Model model = Model.open(ModelOptions.defaults().withContextLength(CONTEXT))) {
            for (int i = 0; i < answers.length; i++) {
                try (ModelRunner runner = model.runner(1, CONTEXT)) {
                    GenerationRequest request = requests.get(i);
                    answers[i] = new Generator(model, runner)
                            .generate(runner.start(), request.prompt(), request.options(), piece -> {}).outputIds();
                }
            }
        }
        return answers;
    }

    private static Generation read(TokenStream stream) throws InterruptedException {
        StringBuilder text = new StringBuilder();
        List<Integer> ids = new ArrayList<>();
        while (true) {
            switch (stream.next()) {
                case StreamEvent.Token token -> {
                    ids.add(token.id());
                    text.append(token.text());
                }
                case StreamEvent.End end -> {
                    assertEquals(text.toString(), end.generation().text());
                    assertArrayEquals(ids.stream().mapToInt(id -> id).toArray(), end.generation().outputIds());
                    return end.generation();
                }
                case StreamEvent.Failed failed -> throw new AssertionError(failed.toString());
            }
        }
    }

    private static GenerationOptions greedy(int count) {
        return new GenerationOptions(count, SamplingOptions.GREEDY, List.of(), Set.of(), true);
    }

    /** Prompts of all lengths, many with common beginnings, some drawn at random with a seed. */
    private static List<GenerationRequest> mixture() {
        Random random = new Random(11);
        List<GenerationRequest> requests = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            int[] prefix = words(new int[] {0, 70, 200, 330}[random.nextInt(4)], 1);
            int[] rest = words(1 + random.nextInt(120), random.nextInt(6));
            int[] prompt = Arrays.copyOf(prefix, prefix.length + rest.length);
            System.arraycopy(rest, 0, prompt, prefix.length, rest.length);
            SamplingOptions sampling =
                    i % 4 == 3 ? new SamplingOptions(1, 50, 0.9, 0, 1.1, 0.2, 0.1, i) : SamplingOptions.GREEDY;
            requests.add(GenerationRequest.of(
                    prompt, new GenerationOptions(1 + random.nextInt(30), sampling, List.of(), Set.of(), true)));
        }
        return requests;
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void answersAreThoseOfEachAlone(boolean prefixCache) throws Exception {
        List<GenerationRequest> requests = mixture();
        int[][] expected = alone(requests);
        // caches so small that pages are given up, and few enough places that requests wait
        open(EngineOptions.defaults().withPrefixCache(prefixCache).withMaxTotalTokens(2048).withMaxRunning(9));
        long cached = 0;
        for (int round = 0; round < 2; round++) {
            List<TokenStream> streams = requests.stream().map(engine::submit).toList();
            for (int i = 0; i < streams.size(); i++) {
                Generation answer = read(streams.get(i));
                assertArrayEquals(expected[i], answer.outputIds(), "request " + i);
                cached += answer.cachedTokens();
            }
        }
        if (prefixCache) {
            assertTrue(cached > 3000, cached + " tokens were found");
            assertTrue(engine.stats().evictedPages() > 0);
            assertTrue(engine.stats().tokensKept() > 0);
            engine.flushCache();
        } else {
            assertEquals(0, cached);
        }
        assertEquals(0, engine.stats().tokensKept());
    }

    @Test
    void oneOfManyEqualPromptsIsComputed() throws Exception {
        // in chunks of 32, so that all have come before the first is through
        engine = Engine.create(EngineOptions.defaults().withModel(
                ModelOptions.defaults().withContextLength(CONTEXT).withChunks(32, 1 << 20)));
        int[] prompt = words(1000, 3);
        List<TokenStream> streams = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            streams.add(engine.submit(GenerationRequest.of(prompt, greedy(4))));
        }
        List<Integer> cached = new ArrayList<>();
        for (TokenStream stream : streams) {
            cached.add(read(stream).cachedTokens());
        }
        assertEquals(0, cached.removeFirst());
        assertTrue(cached.stream().allMatch(tokens -> tokens >= 960), cached.toString());
    }

    /** The next turn of a conversation begins with what was generated in the last one. */
    @Test
    void whatWasGeneratedIsFound() {
        open(EngineOptions.defaults());
        int[] first = words(50, 7);
        int[] answer = engine.generate(first, greedy(100)).outputIds();
        int[] second = Arrays.copyOf(first, 170);
        System.arraycopy(answer, 0, second, 50, 100);
        Arrays.fill(second, 150, 170, 500);
        Generation next = engine.generate(second, greedy(10));
        assertEquals(149, next.cachedTokens(), "all but the last token, which was not run");
        assertArrayEquals(alone(List.of(GenerationRequest.of(second, greedy(10))))[0], next.outputIds());
    }

    @Test
    void blockingCalls() {
        open(EngineOptions.defaults());
        StringBuilder streamed = new StringBuilder();
        Generation first = engine.stream("Fellow-Citizens of the Senate", GenerationOptions.greedy(12), streamed::append);
        assertEquals(first.text(), streamed.toString());
        Generation second = engine.generate("Fellow-Citizens of the Senate", GenerationOptions.greedy(12));
        assertArrayEquals(first.outputIds(), second.outputIds());
        assertEquals(second.promptTokens() - 1, second.cachedTokens());
        assertEquals(FinishReason.LENGTH, second.finishReason());
    }

    @Test
    void aShortPromptDoesNotWaitForALongOne() throws Exception {
        engine = Engine.create(EngineOptions.defaults().withModel(
                ModelOptions.defaults().withContextLength(CONTEXT).withChunks(32, 1 << 20)));
        TokenStream lengthy = engine.submit(GenerationRequest.of(words(1000, 1), greedy(1)));
        TokenStream brief = engine.submit(GenerationRequest.of(words(20, 2), greedy(1)));
        assertEquals(1, read(brief).outputIds().length);
        assertEquals(null, lengthy.next(Duration.ZERO), "the long one is through already");
        read(lengthy);
    }

    @Test
    void cancelling() throws Exception {
        open(EngineOptions.defaults().withMaxRunning(1));
        TokenStream running = engine.submit(GenerationRequest.of(words(10, 1), greedy(900)));
        TokenStream waiting = engine.submit(GenerationRequest.of(words(10, 2), greedy(900)));
        running.next();
        waiting.cancel();
        Generation none = read(waiting);
        assertEquals(FinishReason.ABORT, none.finishReason());
        assertEquals(0, none.outputIds().length);
        running.close();
        int count = 1;
        StreamEvent event = running.next();
        for (; event instanceof StreamEvent.Token; event = running.next()) {
            count++;
        }
        Generation some = assertInstanceOf(StreamEvent.End.class, event).generation();
        assertEquals(FinishReason.ABORT, some.finishReason());
        assertEquals(count, some.outputIds().length);
        assertTrue(count < 900, "it came to its end before it was cancelled");
    }

    @Test
    void deadlines() throws Exception {
        open(EngineOptions.defaults().withMaxRunning(1));
        GenerationRequest request =
                new GenerationRequest(words(10, 1), greedy(1000), -1, Duration.ofMillis(100), false);
        for (TokenStream stream : List.of(engine.submit(request), engine.submit(request))) {
            StreamEvent event = stream.next();
            while (event instanceof StreamEvent.Token) {
                event = stream.next();
            }
            StreamEvent.Failed failed = assertInstanceOf(StreamEvent.Failed.class, event);
            assertEquals(StreamEvent.Cause.TIMEOUT, failed.cause());
            assertEquals("the request took longer than its 0.1 seconds.", failed.sentence());
        }
    }

    @Test
    void aFullQueue() throws Exception {
        open(EngineOptions.defaults().withMaxRunning(1).withMaxQueued(2));
        List<TokenStream> streams = new ArrayList<>();
        RejectedException full = assertThrows(RejectedException.class, () -> {
            for (int i = 0; i < 10; i++) {
                streams.add(engine.submit(GenerationRequest.of(words(10, i), greedy(500))));
            }
        });
        assertTrue(streams.size() >= 2 && streams.size() <= 4, streams.size() + " were taken");
        assertEquals("the queue is full: 2 requests wait already; try again later.", full.getMessage());
        assertTrue(full.retryAfterSeconds() >= 1 && full.retryAfterSeconds() <= 60);
        assertFalse(full.stopping());
        streams.forEach(TokenStream::close);
    }

    @Test
    void whatCanNeverBeAnswered() {
        open(EngineOptions.defaults().withMaxTotalTokens(256));
        assertSays(() -> engine.submit(GenerationRequest.of(new int[] {5, 4096}, greedy(1))), "token 4096 is not in the vocabulary");
        assertSays(() -> engine.submit(GenerationRequest.of(words(1025, 1), greedy(1))), "longer than the context of 1024");
        assertSays(() -> engine.submit(GenerationRequest.of(words(200, 1), greedy(100))),
                "may come to 299 tokens and the caches hold 256");
        assertSays(() -> GenerationRequest.of(new int[0], greedy(1)), "the prompt is empty");
        assertEquals(256, engine.mostTokens());
    }

    /** The answer fills the context to its last place, and the one token behind it needs none. */
    @Test
    void theContextEndsATextToTheToken() {
        open(EngineOptions.defaults());
        Generation answer = engine.generate(words(1000, 1), greedy(5000));
        assertEquals(25, answer.outputIds().length);
        assertEquals(FinishReason.LENGTH, answer.finishReason());
    }

    @Test
    void drainingAndClosing() throws Exception {
        open(EngineOptions.defaults());
        TokenStream stream = engine.submit(GenerationRequest.of(words(10, 1), greedy(100)));
        stream.next();
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            Future<Boolean> drained = threads.submit(() -> engine.drain(Duration.ofSeconds(30)));
            while (!engine.isStopping()) {
                Thread.sleep(1);
            }
            RejectedException stopping = assertThrows(
                    RejectedException.class, () -> engine.submit(GenerationRequest.of(words(3, 1), greedy(1))));
            assertTrue(stopping.stopping());
            assertTrue(drained.get());
        }
        StreamEvent event = stream.next();
        while (event instanceof StreamEvent.Token) {
            event = stream.next();
        }
        assertEquals(100, assertInstanceOf(StreamEvent.End.class, event).generation().outputIds().length);
    }

    @Test
    void closingFailsWhatRuns() throws Exception {
        open(EngineOptions.defaults().withMaxRunning(1));
        List<TokenStream> streams = List.of(
                engine.submit(GenerationRequest.of(words(10, 1), greedy(1000))),
                engine.submit(GenerationRequest.of(words(10, 2), greedy(1000))));
        streams.getFirst().next();
        assertFalse(engine.drain(Duration.ofMillis(1)));
        engine.close();
        engine = null;
        for (TokenStream stream : streams) {
            StreamEvent event = stream.next();
            while (event instanceof StreamEvent.Token) {
                event = stream.next();
            }
            assertEquals(StreamEvent.Cause.STOPPED, assertInstanceOf(StreamEvent.Failed.class, event).cause());
        }
    }

    @Test
    void logprobsAndBiases() throws Exception {
        open(EngineOptions.defaults());
        int[] prompt = words(20, 4);
        TokenStream stream = engine.submit(new GenerationRequest(prompt, greedy(1), 4096 / 64, null, false));
        StreamEvent.Token token = assertInstanceOf(StreamEvent.Token.class, stream.next());
        Logprobs logprobs = token.logprobs();
        assertEquals(64, logprobs.top().size());
        assertEquals(token.id(), logprobs.top().getFirst().token());
        assertEquals(logprobs.logprob(), logprobs.top().getFirst().logprob());
        double last = 0;
        double sum = 0;
        for (Logprobs.Candidate candidate : logprobs.top()) {
            assertTrue(candidate.logprob() <= (sum == 0 ? 0 : last));
            last = candidate.logprob();
            sum += Math.exp(last);
        }
        assertTrue(sum > 0.3 && sum <= 1, "the 64 likeliest sum to " + sum);
        int second = logprobs.top().get(1).token();
        SamplingOptions biased = new SamplingOptions(0, 0, 1, 0, 1, 0, 0, 0, Map.of(second, 100.0));
        GenerationOptions options = new GenerationOptions(3, biased, List.of(), Set.of(), true);
        assertArrayEquals(new int[] {second, second, second}, engine.generate(prompt, options).outputIds());
    }

    @Test
    void selections() throws Exception {
        engine = Engine.create(EngineOptions.defaults().withModel(
                ModelOptions.defaults().withContextLength(CONTEXT).withIndexTopk(16)));
        int[] prompt = words(200, 4);
        List<int[]> first = selections(prompt);
        assertEquals(4, first.size());
        for (int[] layer : first) {
            assertEquals(16, layer.length);
            assertTrue(layer[0] >= 0 && layer[15] < 200);
        }
        List<int[]> again = selections(prompt); // now all but the last token comes from the cache
        for (int layer = 0; layer < 4; layer++) {
            assertArrayEquals(first.get(layer), again.get(layer));
        }
    }

    private List<int[]> selections(int[] prompt) throws InterruptedException {
        TokenStream stream = engine.submit(new GenerationRequest(prompt, greedy(1), -1, null, true));
        read(stream);
        return stream.selections();
    }
}
