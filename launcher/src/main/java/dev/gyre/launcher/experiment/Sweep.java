package dev.gyre.launcher.experiment;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.policy.SelectionPolicies;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.regex.Pattern;

/**
 * What an experiment tries: the cross product of its lists.
 *
 * @param policies selection policies, as {@link SelectionPolicies#complete} takes them
 * @param topk how many tokens they select, each at least 1
 * @param contexts tokens of a window, each at least 2
 * @param texts UTF-8 files
 * @param seeds of policies that draw and do not give a seed themselves, each at least 0; null for 1
 * @param probeEvery recall and mass are measured at positions that are multiples of this; 0 leaves them out; null for
 *     16
 */
public record Sweep(
        List<String> policies,
        List<Integer> topk,
        List<Integer> contexts,
        List<String> texts,
        List<Integer> seeds,
        Integer probeEvery) {
    private static final int PROBE_EVERY = 16;

    /** The parameter of a policy that draws. */
    private static final Pattern SEED = Pattern.compile("([:,])seed=\\d+");

    /** Checks every value and completes the policies, seeds included: {@code random} becomes one policy a seed. */
    public Sweep {
        topk = least("topk", topk, 1);
        contexts = least("contexts", contexts, 2);
        texts = distinct("texts", texts);
        seeds = seeds == null ? List.of(1) : least("seeds", seeds, 0);
        policies = distinct("policies", seeded(distinct("policies", policies), seeds));
        probeEvery = probeEvery == null ? PROBE_EVERY : probeEvery;
        if (probeEvery < 0) {
            throw EngineException.usage("a sweep's probe_every must be at least 0, not " + probeEvery + ".");
        }
    }

    /** A sweep from a JSON file, whose texts are named from the folder that it lies in. */
    public static Sweep read(Path file) {
        byte[] json;
        try {
            json = Files.readAllBytes(file);
        } catch (NoSuchFileException e) {
            throw new EngineException("there is no sweep " + file + ".", e);
        } catch (IOException e) {
            throw new EngineException("cannot read the sweep " + file + ": " + e + ".", e);
        }
        Sweep sweep = ExperimentJson.read(json, Sweep.class, file.toString());
        try {
            List<String> texts = sweep.texts.stream().map(text -> file.resolveSibling(text).toString()).toList();
            return new Sweep(sweep.policies, sweep.topk, sweep.contexts, texts, sweep.seeds, sweep.probeEvery);
        } catch (InvalidPathException e) {
            throw new EngineException(file + " names a text that no file can be: " + e.getMessage() + ".", e);
        }
    }

    private static <T> List<T> distinct(String field, List<T> values) {
        if (values == null || values.isEmpty()) {
            throw EngineException.usage("a sweep needs " + field + ", at least one.");
        }
        if (values.stream().anyMatch(Objects::isNull)) {
            throw EngineException.usage("a sweep's " + field + " must not hold null.");
        }
        return values.stream().distinct().toList();
    }

    private static List<Integer> least(String field, List<Integer> values, int least) {
        for (int value : distinct(field, values)) {
            if (value < least) {
                throw EngineException.usage(
                        "a sweep's " + field + " must be at least " + least + ", not " + value + ".");
            }
        }
        return distinct(field, values);
    }

    private static List<String> seeded(List<String> specs, List<Integer> seeds) {
        List<String> policies = new ArrayList<>();
        for (String spec : specs) {
            String policy = SelectionPolicies.complete(spec);
            if (SEED.matcher(policy).find() && !SEED.matcher(spec).find()) {
                seeds.forEach(seed -> policies.add(SelectionPolicies.complete(withSeed(policy, seed))));
            } else {
                policies.add(policy);
            }
        }
        return policies;
    }

    private static String withSeed(String policy, int seed) {
        return SEED.matcher(policy).replaceFirst("$1seed=" + seed);
    }

    /** A policy as charts name it, where the draws of several seeds are one line. */
    static String withoutSeed(String policy) {
        return SEED.matcher(policy).replaceFirst("");
    }

    /**
     * The points to measure, each once: {@code dense} has one whatever k, and where k is not below the context there is
     * nothing to select, so these are left out.
     */
    public List<Cell> cells() {
        List<Cell> cells = new ArrayList<>();
        for (String text : texts) {
            for (int context : contexts) {
                for (String policy : policies) {
                    if (policy.equals(SelectionPolicies.DENSE)) {
                        cells.add(new Cell(policy, 0, context, text));
                        continue;
                    }
                    topk.stream()
                            .filter(k -> k < context)
                            .forEach(k -> cells.add(new Cell(policy, k, context, text)));
                }
            }
        }
        if (cells.isEmpty()) {
            throw EngineException.usage("a sweep whose every k is at least the context has nothing to select; "
                    + "give a smaller topk or larger contexts.");
        }
        return cells;
    }

    /** What of the cross product is not measured, in a sentence; empty where all of it is. */
    public String note() {
        List<String> parts = new ArrayList<>();
        if (topk.size() > 1 && policies.contains(SelectionPolicies.DENSE)) {
            parts.add("dense is measured once, whatever k");
        }
        if (seeds.size() > 1) {
            parts.add("seeds are tried with the policies that draw and name none");
        }
        List<Integer> idle = contexts.stream().filter(context -> topk.stream().anyMatch(k -> k >= context)).toList();
        if (!idle.isEmpty()) {
            parts.add("a k that is not below the context is left out, because everything is selected then (contexts "
                    + idle + ")");
        }
        return String.join("; ", parts);
    }
}
