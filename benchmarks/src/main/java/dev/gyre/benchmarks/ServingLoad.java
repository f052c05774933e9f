package dev.gyre.benchmarks;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.management.OperatingSystemMXBean;
import dev.gyre.attention.EngineException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.io.PrintWriter;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;

/**
 * Loads a server with requests and says how it bears them, with the options, figures and labels of SGLang's
 * {@code bench_serving}. It checks the answers that it times: their number of tokens, and that the same greedy request
 * has the same answer under load and alone. Started by {@code benchmarks/run-serving}:
 *
 * <pre>{@code benchmarks/run-serving --base-url http://127.0.0.1:8000 --num-prompts 64 --max-concurrency 16}</pre>
 */
@Command(
        name = "run-serving",
        description = "Loads a server with requests and measures latencies and throughput.",
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false,
        footer = "Exit code: 0 success, 1 a request or a check failed, 2 usage.")
public final class ServingLoad implements Callable<Integer> {
    private static final Duration HEALTH = Duration.ofSeconds(60);
    private static final int WARM_UP_TOKENS = 32;

    @Option(names = "--base-url", paramLabel = "URL", description = "where the server is")
    private String baseUrl = "http://127.0.0.1:30000";

    @Option(
            names = "--backend",
            paramLabel = "NAME",
            description = "gyre and sglang-native (POST /generate), openai (POST /v1/completions)")
    private String backend = "gyre";

    @Option(
            names = "--model",
            paramLabel = "NAME",
            description = "what openai asks for (default: the first that the server names)")
    private String model;

    @Option(names = "--api-key", paramLabel = "KEY", description = "sent as a bearer token")
    private String apiKey;

    @Option(
            names = "--dataset",
            paramLabel = "NAME",
            description = "random, or shared-prefix: groups with a common system prompt")
    private String dataset = "random";

    @Option(names = "--num-prompts", paramLabel = "N", description = "requests, with random")
    private int numPrompts = 64;

    @Option(names = "--random-input-len", paramLabel = "N", description = "tokens of a prompt, with random")
    private int randomInput = 512;

    @Option(names = "--random-output-len", paramLabel = "N", description = "tokens of an answer, with random")
    private int randomOutput = 128;

    @Option(
            names = "--random-range-ratio",
            paramLabel = "R",
            description = "lengths are drawn from R times these to these")
    private double randomRatio = 1;

    @Option(names = "--gsp-num-groups", paramLabel = "N", description = "groups, with shared-prefix")
    private int groups = 8;

    @Option(names = "--gsp-prompts-per-group", paramLabel = "N", description = "requests of a group")
    private int perGroup = 8;

    @Option(names = "--gsp-system-prompt-len", paramLabel = "N", description = "tokens that a group has in common")
    private int systemLength = 1024;

    @Option(names = "--gsp-question-len", paramLabel = "N", description = "tokens behind them")
    private int questionLength = 64;

    @Option(names = "--gsp-output-len", paramLabel = "N", description = "tokens of an answer, with shared-prefix")
    private int groupOutput = 64;

    @Option(
            names = "--request-rate",
            paramLabel = "R",
            description = "requests per second, a Poisson process; inf: all at once")
    private String requestRate = "inf";

    @Option(
            names = "--max-concurrency",
            paramLabel = "N",
            description = "the most requests under way; 0 for any number")
    private int maxConcurrency;

    @Option(names = "--seed", paramLabel = "N", description = "of prompts and arrivals")
    private long seed = 1;

    @Option(
            names = "--warmup-requests",
            paramLabel = "N",
            description = "requests before, not measured, of at most 32 tokens")
    private int warmup = 1;

    @Option(names = "--flush-cache", description = "have the server forget what it computed, before the load")
    private boolean flushCache;

    @Option(names = "--disable-ignore-eos", description = "let answers end at the end-of-sequence token")
    private boolean disableIgnoreEos;

    @Option(
            names = "--repeat",
            paramLabel = "N",
            description = "send so many of the requests again, one by one, and compare the answers; not every server "
                    + "promises them to be the same (default: 4 with gyre, else 0)")
    private Integer repeat;

    @Option(names = "--vocab-size", paramLabel = "N", description = "where the server does not say")
    private int vocabSize;

    @Option(
            names = "--request-timeout",
            paramLabel = "SECONDS",
            description = "an answer that takes longer is a failure")
    private double timeout = 600;

    @Option(
            names = "--output-file",
            paramLabel = "FILE",
            description = "gets the figures as a line of JSON, behind what it has")
    private Path outputFile;

    @Option(names = "--tag", paramLabel = "TEXT", description = "what that line calls the load")
    private String tag;

    @Option(names = "--probe-prefill", description = "instead of a load: short requests while a long prompt is read")
    private boolean probe;

    @Option(names = "--probe-long-len", paramLabel = "N", description = "tokens of the long prompt")
    private int probeLong = 6000;

    @Option(names = "--probe-short-len", paramLabel = "N", description = "tokens of the short ones")
    private int probeShort = 20;

    @Option(names = "--probe-rounds", paramLabel = "N", description = "long prompts")
    private int probeRounds = 6;

    @Spec
    private CommandSpec spec;

    /** Runs and exits with the code. */
    public static void main(String[] args) {
        // servers close connections that idle; a request sent just then would fail, which is not the server's fault
        System.getProperties().putIfAbsent("jdk.httpclient.keepalive.timeout", "5");
        CommandLine line = new CommandLine(new ServingLoad());
        line.setOut(new PrintWriter(System.out, true, StandardCharsets.UTF_8));
        line.setParameterExceptionHandler((e, a) -> {
            complain(line, e.getMessage());
            line.getErr().println("Try 'run-serving --help'.");
            return 2;
        });
        line.setExecutionExceptionHandler((e, command, parsed) -> {
            complain(line, e instanceof EngineException ? e.getMessage() : e.toString());
            return e instanceof EngineException mistake && mistake.isUsage() ? 2 : 1;
        });
        int code = line.execute(args);
        line.getOut().flush();
        System.exit(code);
    }

    private static void complain(CommandLine line, String sentence) {
        line.getErr().println("run-serving: " + sentence);
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        boolean openAi = check();
        double rate = rate();
        PrintWriter out = spec.commandLine().getOut();
        try (LoadClient client = new LoadClient(new LoadClient.Options(baseUrl.replaceFirst("/+$", ""), openAi, apiKey,
                model, !disableIgnoreEos, Duration.ofNanos((long) (timeout * 1e9))))) {
            client.awaitHealth(HEALTH);
            client.findModel();
            int vocabulary = vocabSize > 0 ? vocabSize : client.vocabulary();
            if (vocabulary < 1) {
                throw EngineException.usage("the server does not say how large its vocabulary is; give --vocab-size.");
            }
            if (probe) {
                return probe(client, vocabulary, out);
            }
            warmUp(client, vocabulary);
            if (flushCache) {
                client.flushCache();
            }
            SplittableRandom random = new SplittableRandom(seed);
            List<LoadPlan.Request> requests = requests(vocabulary, random);
            LoadResult result = load(client, requests, LoadPlan.arrivals(requests.size(), rate, random));
            result.print(out, backend, rate, maxConcurrency);
            save(result.json());
            return result.errors().isEmpty() ? 0 : 1;
        }
    }

    private boolean check() {
        atLeast("--num-prompts", numPrompts, 1);
        atLeast("--random-input-len", randomInput, 1);
        atLeast("--random-output-len", randomOutput, 1);
        atLeast("--gsp-num-groups", groups, 1);
        atLeast("--gsp-prompts-per-group", perGroup, 1);
        atLeast("--gsp-system-prompt-len", systemLength, 0);
        atLeast("--gsp-question-len", questionLength, 1);
        atLeast("--gsp-output-len", groupOutput, 1);
        atLeast("--max-concurrency", maxConcurrency, 0);
        atLeast("--warmup-requests", warmup, 0);
        atLeast("--vocab-size", vocabSize, 0);
        atLeast("--repeat", repeat == null ? 0 : repeat, 0);
        atLeast("--probe-long-len", probeLong, 1);
        atLeast("--probe-short-len", probeShort, 1);
        atLeast("--probe-rounds", probeRounds, 1);
        if (!(randomRatio >= 0 && randomRatio <= 1)) {
            throw EngineException.usage("--random-range-ratio must be from 0 to 1, not " + randomRatio + ".");
        }
        if (!(timeout > 0 && timeout <= 1e6)) {
            throw EngineException.usage(
                    "--request-timeout must be more than 0 and at most 1000000, not " + timeout + ".");
        }
        if (!List.of("random", "shared-prefix").contains(dataset)) {
            throw EngineException.usage("--dataset must be random or shared-prefix, not '" + dataset + "'.");
        }
        if (!List.of("gyre", "sglang-native", "openai").contains(backend)) {
            throw EngineException.usage("--backend must be gyre, sglang-native or openai, not '" + backend + "'.");
        }
        return backend.equals("openai");
    }

    private static void atLeast(String option, int value, int least) {
        if (value < least) {
            throw EngineException.usage(option + " must be at least " + least + ", not " + value + ".");
        }
    }

    private double rate() {
        try {
            double rate = requestRate.equals("inf") ? Double.POSITIVE_INFINITY : Double.parseDouble(requestRate);
            if (rate > 0) {
                return rate;
            }
        } catch (NumberFormatException e) {
            // said below
        }
        throw EngineException.usage("--request-rate must be a number above 0, or inf, not '" + requestRate + "'.");
    }

    private List<LoadPlan.Request> requests(int vocabulary, SplittableRandom random) {
        return dataset.equals("random")
                ? LoadPlan.random(numPrompts, randomInput, randomOutput, randomRatio, vocabulary, random)
                : LoadPlan.sharedPrefix(
                        new LoadPlan.Groups(groups, perGroup, systemLength, questionLength, groupOutput),
                        vocabulary, random);
    }

    /** Prompts like those of the load, but others, so that the load finds nothing of its own in the cache. */
    private void warmUp(LoadClient client, int vocabulary) throws InterruptedException {
        List<LoadPlan.Request> alike = requests(vocabulary, new SplittableRandom(~seed));
        List<LoadPlan.Request> requests = new ArrayList<>();
        for (int i = 0; i < warmup; i++) {
            LoadPlan.Request one = alike.get(i % alike.size());
            requests.add(new LoadPlan.Request(one.prompt(), Math.min(one.outputTokens(), WARM_UP_TOKENS)));
        }
        List<LoadAnswer> answers = send(client, requests, new long[warmup]);
        if (warmup > 0 && answers.stream().noneMatch(LoadAnswer::ok)) {
            throw new EngineException("every request of the warm-up failed: " + answers.getFirst().error());
        }
    }

    private LoadResult load(LoadClient client, List<LoadPlan.Request> requests, long[] arrivals)
            throws InterruptedException {
        OperatingSystemMXBean process = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
        long cpu = process.getProcessCpuTime();
        long start = System.nanoTime();
        List<LoadAnswer> raw = send(client, requests, arrivals);
        double seconds = (System.nanoTime() - start) * 1e-9;
        double cpuSeconds = (process.getProcessCpuTime() - cpu) * 1e-9;
        LoadAnswer.Memory memory = new LoadAnswer.Memory();
        List<LoadAnswer> answers = memory.checked(raw);
        int again = Math.min(repeat != null ? repeat : backend.equals("gyre") ? 4 : 0, requests.size());
        List<LoadAnswer> repeated = new ArrayList<>();
        for (int i = 0; i < again; i++) {
            int which = (int) ((long) i * requests.size() / again);
            if (answers.get(which).ok()) {
                repeated.add(memory.checked(client.send(requests.get(which))));
            }
        }
        return new LoadResult(answers, repeated, memory.compared(), seconds, cpuSeconds);
    }

    /** Sends each at its time, from a thread of its own; answers in the order of the requests. */
    private List<LoadAnswer> send(LoadClient client, List<LoadPlan.Request> requests, long[] arrivals)
            throws InterruptedException {
        Semaphore room = new Semaphore(maxConcurrency == 0 ? Integer.MAX_VALUE : maxConcurrency, true);
        List<Future<LoadAnswer>> coming = new ArrayList<>();
        List<LoadAnswer> answers = new ArrayList<>();
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            long start = System.nanoTime();
            for (int i = 0; i < requests.size(); i++) {
                LoadPlan.Request request = requests.get(i);
                Thread.sleep(Duration.ofNanos(Math.max(0, start + arrivals[i] - System.nanoTime())));
                coming.add(threads.submit(() -> {
                    room.acquire();
                    try {
                        return client.send(request);
                    } finally {
                        room.release();
                    }
                }));
            }
            for (Future<LoadAnswer> one : coming) {
                answers.add(one.get());
            }
        } catch (ExecutionException e) {
            throw e.getCause() instanceof EngineException known ? known : new IllegalStateException(e.getCause());
        }
        return answers;
    }

    private int probe(LoadClient client, int vocabulary, PrintWriter out) throws IOException, InterruptedException {
        PrefillProbe.Result result = new PrefillProbe(
                client, vocabulary, probeLong, probeShort, probeRounds, new SplittableRandom(seed)).measure();
        result.print(out);
        save(result.json().put("long_len", probeLong).put("short_len", probeShort));
        return 0;
    }

    private void save(ObjectNode figures) throws IOException {
        if (outputFile == null) {
            return;
        }
        ObjectNode line = new ObjectMapper().createObjectNode();
        line.put("tag", tag).put("backend", backend).put("dataset_name", dataset).put("request_rate", requestRate);
        line.put("max_concurrency", maxConcurrency).put("seed", seed);
        line.put("random_input_len", randomInput).put("random_output_len", randomOutput);
        line.put("random_range_ratio", randomRatio);
        line.put("arguments", String.join(" ", spec.commandLine().getParseResult().originalArgs())
                .replaceAll("--api-key[= ]\\S+", "--api-key ..."));
        line.setAll(figures);
        try {
            Files.writeString(outputFile, line + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        } catch (IOException e) {
            throw new EngineException("cannot write --output-file " + outputFile + ": " + e.getMessage() + ".", e);
        }
    }
}
