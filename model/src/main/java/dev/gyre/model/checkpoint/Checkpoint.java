package dev.gyre.model.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gyre.attention.EngineException;
import dev.gyre.model.config.Fields;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;

/**
 * All tensors of a model, from {@code model.safetensors} or from the shards that {@code model.safetensors.index.json}
 * names. Tensors are handed out by name and shape; {@link #finish} rejects those that nobody asked for.
 */
public final class Checkpoint implements WeightSource {
    private static final String SINGLE = "model.safetensors";
    private static final String INDEX = "model.safetensors.index.json";
    private static final String SCALES = "_scale_inv";

    private final Arena arena = Arena.ofShared();
    private final Map<String, SafetensorsFile.Entry> entries = new LinkedHashMap<>();
    private final Set<String> unused = new HashSet<>();
    private final String where;
    private final int blockRows;
    private final int blockColumns;
    private final Predicate<String> ignored;
    private final List<Weight> weights = new ArrayList<>();

    private Checkpoint(String where, int blockRows, int blockColumns, Predicate<String> ignored) {
        this.where = where;
        this.blockRows = blockRows;
        this.blockColumns = blockColumns;
        this.ignored = ignored;
    }

    /** Whether a model's folder has the files of one. */
    public static boolean isIn(ModelFiles files) {
        return files.has(INDEX) || files.has(SINGLE);
    }

    /**
     * Maps and checks the files.
     *
     * @param blockRows rows of a block of FP8 values that share a scale
     * @param blockColumns columns of such a block
     * @param ignored tensors that will not be asked for; a shard that has no others need not be there
     */
    public static Checkpoint open(
            ModelFiles files, int blockRows, int blockColumns, Predicate<String> ignored, LoadListener listener) {
        Checkpoint checkpoint = new Checkpoint(files.where(), blockRows, blockColumns, ignored);
        try {
            if (files.has(INDEX)) {
                checkpoint.addShards(files, listener);
            } else {
                checkpoint.addFile(files, single(files));
            }
            checkpoint.unused.addAll(checkpoint.entries.keySet());
            return checkpoint;
        } catch (RuntimeException | Error e) {
            checkpoint.close();
            throw e;
        }
    }

    /** The files that hold the weights. */
    static Set<String> files(ModelFiles files) {
        return files.has(INDEX) ? shards(files).keySet() : Set.of(single(files));
    }

    private static String single(ModelFiles files) {
        if (!files.has(SINGLE)) {
            throw new EngineException(files.where() + " has neither " + SINGLE + " nor " + INDEX + ".");
        }
        return SINGLE;
    }

    private Map<String, SafetensorsFile.Entry> addFile(ModelFiles files, String file) {
        String name = files.where() + ": " + file;
        MemorySegment segment = files.map(file, arena);
        Map<String, SafetensorsFile.Entry> found = SafetensorsFile.read(segment, name);
        found.forEach((tensor, entry) -> {
            if (entries.putIfAbsent(tensor, entry) != null) {
                throw new EngineException(name + ": tensor " + tensor + " is in another file too.");
            }
        });
        return found;
    }

    private void addShards(ModelFiles files, LoadListener listener) {
        Map<String, Set<String>> wanted = shards(files);
        wanted.values().removeIf(tensors -> tensors.stream().allMatch(ignored));
        int mapped = 0;
        listener.mapped(mapped, wanted.size());
        for (Map.Entry<String, Set<String>> shard : wanted.entrySet()) {
            Set<String> found = addFile(files, shard.getKey()).keySet();
            for (String tensor : new TreeSet<>(shard.getValue())) {
                if (!found.contains(tensor)) {
                    throw new EngineException(files.where() + ": " + INDEX + " says that " + shard.getKey()
                            + " has tensor " + tensor + "; it has not.");
                }
            }
            listener.mapped(++mapped, wanted.size());
        }
    }

    /** The tensors of each shard, as the index has them. */
    private static Map<String, Set<String>> shards(ModelFiles files) {
        String name = files.where() + ": " + INDEX;
        JsonNode map = Fields.parse(files.read(INDEX), name).get("weight_map");
        if (map == null || !map.isObject()) {
            throw new EngineException(name + " has no weight_map.");
        }
        Map<String, Set<String>> tensorsOf = new LinkedHashMap<>();
        map.properties().forEach(field -> {
            String file = field.getValue().asText("");
            if (file.isEmpty() || file.contains("/") || file.contains("\\") || !file.endsWith(".safetensors")) {
                throw new EngineException(
                        name + ": tensor " + field.getKey() + " is not in a .safetensors file of the same folder.");
            }
            tensorsOf.computeIfAbsent(file, f -> new HashSet<>()).add(field.getKey());
        });
        return tensorsOf;
    }

    @Override
    public boolean has(String name) {
        return entries.containsKey(name);
    }

    @Override
    public Weight vector(String name, int size) {
        return handOut(weight(name, new long[] {size}, 1, size));
    }

    @Override
    public Weight matrix(String name, int rows, int columns) {
        return handOut(weight(name, new long[] {rows, columns}, rows, columns));
    }

    private Weight handOut(Weight weight) {
        weights.add(weight);
        return weight;
    }

    private Weight weight(String name, long[] shape, int rows, int columns) {
        SafetensorsFile.Entry entry = take(name, shape);
        DType dtype;
        try {
            dtype = DType.valueOf(entry.dtype());
        } catch (IllegalArgumentException e) {
            throw new EngineException(where + ": tensor " + name + " is of dtype " + entry.dtype()
                    + "; known: F32, F16, BF16, F8_E4M3.", e);
        }
        if (dtype != DType.F8_E4M3) {
            return new Weight(name, dtype, rows, columns, entry.data());
        }
        long[] blocks = {Math.ceilDiv(rows, blockRows), Math.ceilDiv(columns, blockColumns)};
        SafetensorsFile.Entry scales = take(name + SCALES, blocks);
        if (!scales.dtype().equals("F32")) {
            throw new EngineException(
                    where + ": tensor " + name + SCALES + " is of dtype " + scales.dtype() + " and must be F32.");
        }
        return new Weight(name, dtype, rows, columns, entry.data(), scales.data(), blockRows, blockColumns);
    }

    private SafetensorsFile.Entry take(String name, long[] shape) {
        SafetensorsFile.Entry entry = entries.get(name);
        if (entry == null) {
            throw new EngineException(where + ": tensor " + name + " " + Arrays.toString(shape) + " is missing.");
        }
        if (!Arrays.equals(entry.shape(), shape)) {
            throw new EngineException(where + ": tensor " + name + " must have shape " + Arrays.toString(shape)
                    + " by config.json and has " + Arrays.toString(entry.shape()) + ".");
        }
        unused.remove(name);
        return entry;
    }

    /** Rejects tensors that were not asked for, but for those that were to be ignored. */
    @Override
    public void finish() {
        for (String name : new TreeSet<>(unused)) {
            if (!ignored.test(name)) {
                throw new EngineException(where + ": tensor " + name + " " + entries.get(name).shown()
                        + " does not belong to the model that config.json describes.");
            }
        }
    }

    @Override
    public List<Weight> weights() {
        return Collections.unmodifiableList(weights);
    }

    @Override
    public void close() {
        arena.close();
    }
}
