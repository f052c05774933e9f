package dev.gyre.benchmarks;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.attention.EngineException;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** How long short requests wait for their first token while the prompt of a long one is being read. */
final class PrefillProbe {
    /** Between two short requests: random, so that they do not keep step with the server's rounds. */
    private static final int MOST_PAUSE_MILLIS = 100;
    /** The long prompt has arrived and its prefill has begun by then. */
    private static final int HEAD_START_MILLIS = 30;
    private static final int ALONE = 10;

    private final LoadClient client;
    private final int vocabulary;
    private final int longLength;
    private final int shortLength;
    private final int rounds;
    private final SplittableRandom random;

    PrefillProbe(
            LoadClient client, int vocabulary, int longLength, int shortLength, int rounds, SplittableRandom random) {
        this.client = client;
        this.vocabulary = vocabulary;
        this.longLength = longLength;
        this.shortLength = shortLength;
        this.rounds = rounds;
        this.random = random;
    }

    /** Milliseconds to first tokens: of short and long requests, by themselves and together. */
    record Result(
            int samples,
            LoadResult.Spread shortAlone,
            LoadResult.Spread shortDuring,
            LoadResult.Spread longAlone,
            LoadResult.Spread longDuring) {

        ObjectNode json() {
            ObjectNode json = new ObjectMapper().createObjectNode();
            json.put("samples", samples);
            shortAlone.put(json, "short_alone_ttft");
            shortDuring.put(json, "short_during_prefill_ttft");
            longAlone.put(json, "long_alone_ttft");
            longDuring.put(json, "long_with_short_ttft");
            return json;
        }

        void print(PrintWriter out) {
            out.println();
            LoadResult.rule(out, " Time to First Token During a Prefill ", '=');
            LoadResult.line(out, "Short requests during a prefill:", Integer.toString(samples));
            shortAlone.print(out, "Short requests, alone", "TTFT");
            shortDuring.print(out, "Short requests, during a long prefill", "TTFT");
            longAlone.print(out, "Long requests, alone", "TTFT");
            longDuring.print(out, "Long requests, with short ones beside them", "TTFT");
            out.println("=".repeat(50));
            out.printf(Locale.ROOT, "Mean TTFT of short requests: %.1f times as long as alone.%n",
                    shortDuring.mean() / shortAlone.mean());
        }
    }

    /**
     * Measures; the first round is for warming up.
     *
     * @throws EngineException where a request fails
     */
    Result measure() throws InterruptedException {
        List<LoadAnswer> shortAlone = new ArrayList<>();
        List<LoadAnswer> shortDuring = new ArrayList<>();
        List<LoadAnswer> longAlone = new ArrayList<>();
        List<LoadAnswer> longDuring = new ArrayList<>();
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int round = 0; round <= rounds; round++) {
                for (int i = 0; i < ALONE; i++) {
                    shortAlone.add(ask(shortLength));
                    Thread.sleep(random.nextInt(MOST_PAUSE_MILLIS));
                }
                longAlone.add(ask(longLength));
                LoadPlan.Request request = request(longLength);
                Future<LoadAnswer> reading = threads.submit(() -> good(client.send(request)));
                Thread.sleep(HEAD_START_MILLIS);
                List<LoadAnswer> beside = new ArrayList<>();
                while (!reading.isDone()) {
                    beside.add(ask(shortLength));
                    Thread.sleep(random.nextInt(MOST_PAUSE_MILLIS));
                }
                LoadAnswer whole = reading.get();
                longDuring.add(whole);
                // those that were sent before the long one's first token, however long they then took
                beside.removeIf(answer -> answer.sent() - whole.sent() > whole.firstToken());
                shortDuring.addAll(beside);
                if (round == 0) {
                    List.of(shortAlone, shortDuring, longAlone, longDuring).forEach(List::clear);
                }
            }
        } catch (ExecutionException e) {
            throw e.getCause() instanceof EngineException known ? known : new IllegalStateException(e.getCause());
        }
        if (shortDuring.isEmpty()) {
            throw new EngineException("a prompt of " + longLength + " tokens was read before a short one could be sent;"
                    + " give a longer --probe-long-len.");
        }
        return new Result(shortDuring.size(), spread(shortAlone), spread(shortDuring), spread(longAlone),
                spread(longDuring));
    }

    private LoadPlan.Request request(int length) {
        return new LoadPlan.Request(LoadPlan.tokens(length, vocabulary, random), 1);
    }

    private LoadAnswer ask(int length) throws InterruptedException {
        return good(client.send(request(length)));
    }

    private static LoadAnswer good(LoadAnswer answer) {
        if (!answer.ok()) {
            throw new EngineException("a request failed: " + answer.error());
        }
        return answer;
    }

    private static LoadResult.Spread spread(List<LoadAnswer> answers) {
        return LoadResult.Spread.of(answers.stream().mapToDouble(answer -> answer.firstToken() * 1e-6).toArray());
    }
}
