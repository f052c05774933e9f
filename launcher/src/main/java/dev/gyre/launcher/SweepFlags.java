package dev.gyre.launcher;

import dev.gyre.attention.EngineException;
import dev.gyre.launcher.experiment.CellResult;
import dev.gyre.launcher.experiment.Experiment;
import dev.gyre.launcher.experiment.Report;
import dev.gyre.launcher.experiment.Sweep;
import dev.gyre.model.ModelOptions;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.stream.Stream;

/** The options that say what an experiment tries and where it goes; also of the Spark job in {@code benchmarks}. */
public final class SweepFlags {
    @Option(
            names = "--sweep",
            paramLabel = "FILE",
            description = "a JSON file with policies, topk, contexts, texts, seeds, probe_every; instead of the "
                    + "options that say the same")
    private Path file;

    @Option(
            names = "--policies",
            paramLabel = "P,P",
            description = "selection policies: indexer,dense,recent:sink=4 (engine generate --help lists them)")
    private String policies;

    @Option(names = "--topk", paramLabel = "K,K", description = "how many tokens they select: 32,64,128")
    private String topk;

    @Option(names = "--contexts", paramLabel = "N,N", description = "tokens of a window: 1024,4096")
    private String contexts;

    @Option(names = "--text-file", paramLabel = "FILE", split = ",", description = "UTF-8 files, one or several")
    private List<String> texts;

    @Option(
            names = "--seeds",
            paramLabel = "S,S",
            description = "of policies that draw and name no seed (default: 1)")
    private String seeds;

    @Option(
            names = "--probe-every",
            paramLabel = "N",
            description = "recall and attention mass are measured at every n-th token, with as much work as dense "
                    + "attention has there; 0: not at all (default: 16)")
    private Integer probeEvery;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            required = true,
            description = "a folder for results.csv, results.json, report.html and the charts; an experiment that was "
                    + "cut off goes on where it was")
    private Path out;

    @Mixin
    private JsonFlag json;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec mixee;

    /** Begins the experiment, or goes on with it; to be closed. */
    public Experiment open(ModelOptions options) {
        Sweep sweep = sweep();
        List<String> contents = sweep.texts().stream()
                .map(text -> TextFiles.read(Path.of(text), "--text-file"))
                .toList();
        return Experiment.open(EngineCommand.Version.number(), sweep, contents, options, out);
    }

    /** A line on the terminal for the experiment, to be closed. */
    public Progress progress(Experiment experiment) {
        return new Progress(mixee.commandLine().getErr(), experiment.cells().size(), "cells");
    }

    /** Writes the report of an experiment that is done, and prints its figures. */
    public void finish(Experiment experiment) {
        Report report = experiment.report(Machine.describe());
        report.write(experiment.folder());
        PrintWriter out = mixee.commandLine().getOut();
        if (json.wanted()) {
            out.println(report.line());
            return;
        }
        for (CellResult result : report.results()) {
            out.printf(Locale.ROOT, "%s: perplexity %.3f", result.cell(), result.perplexity());
            if (Double.isFinite(result.mass())) {
                out.printf(Locale.ROOT, ", recall %.3f, mass %.3f", result.recall(), result.mass());
            }
            out.printf(Locale.ROOT, ", %.0f us/token%n", result.micros());
        }
        out.println(experiment.folder().path().resolve("report.html"));
    }

    private Sweep sweep() {
        boolean described = Stream.of(policies, topk, contexts, texts, seeds, probeEvery).anyMatch(Objects::nonNull);
        if (file != null && described) {
            throw EngineException.usage(
                    "--sweep and options that describe a sweep exclude each other; give one of both.");
        }
        if (file != null) {
            return Sweep.read(file);
        }
        return new Sweep(
                policies(given("--policies", policies)),
                numbers("--topk", given("--topk", topk)),
                numbers("--contexts", given("--contexts", contexts)),
                given("--text-file", texts),
                seeds == null ? null : numbers("--seeds", seeds),
                probeEvery);
    }

    private static <T> T given(String option, T value) {
        if (value == null) {
            throw EngineException.usage("an experiment needs --sweep, or --policies, --topk, --contexts and "
                    + "--text-file; " + option + " is missing.");
        }
        return value;
    }

    private static List<Integer> numbers(String option, String list) {
        return Arrays.stream(Ids.parse(list, option)).boxed().toList();
    }

    /** Policies between commas, which also stand between the parameters of one: these have no colon. */
    private static List<String> policies(String list) {
        List<String> policies = new ArrayList<>();
        for (String part : list.split(",", -1)) {
            if (!policies.isEmpty() && part.contains("=") && !part.contains(":")) {
                policies.addLast(policies.removeLast() + "," + part);
            } else {
                policies.add(part);
            }
        }
        return policies;
    }
}
