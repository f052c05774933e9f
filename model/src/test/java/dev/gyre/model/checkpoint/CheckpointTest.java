package dev.gyre.model.checkpoint;

import static dev.gyre.model.Failures.assertSays;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.gyre.attention.numeric.Fp8E4M3;
import dev.gyre.model.TensorFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Predicate;

/** Tensors handed out by name and shape, from one file or shards, decoded exactly. */
class CheckpointTest {
    private static final String SINGLE = "model.safetensors";
    private static final String INDEX = "model.safetensors.index.json";

    @TempDir
    private Path folder;

    private void write(String name, byte[] bytes) {
        try {
            Files.write(folder.resolve(name), bytes);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void index(String map) {
        write(INDEX, ("{\"metadata\":{\"total_size\":1},\"weight_map\":" + map + "}").getBytes());
    }

    private Checkpoint open() {
        return open(name -> false);
    }

    private Checkpoint open(Predicate<String> ignored) {
        return Checkpoint.open(ModelFiles.folder(folder), 128, 128, ignored, LoadListener.NONE);
    }

    private Checkpoint open(TensorFile file) {
        write(SINGLE, file.bytes());
        return open();
    }

    private static TensorFile floats(String name, int rows, int columns) {
        return new TensorFile().addFloats(name, new float[rows * columns], rows, columns);
    }

    @Test
    void missingMisshapenAndExtraTensors() {
        try (Checkpoint checkpoint = open(floats("a", 2, 3).addFloats("extra", new float[5], 5))) {
            assertSays(() -> checkpoint.matrix("b", 4, 5), folder.toString(), "tensor b [4, 5] is missing");
            assertSays(() -> checkpoint.matrix("a", 3, 2), "tensor a must have shape [3, 2]", "has [2, 3]");
            assertSays(() -> checkpoint.vector("a", 6), "tensor a must have shape [6]", "has [2, 3]");
            checkpoint.matrix("a", 2, 3);
            assertSays(checkpoint::finish, "tensor extra F32 [5] does not belong");
        }
        try (Checkpoint checkpoint = open(name -> name.equals("extra"))) {
            checkpoint.matrix("a", 2, 3);
            checkpoint.finish();
        }
    }

    @Test
    void neitherFile() {
        assertSays(this::open, folder.toString(), SINGLE, INDEX);
        assertSays(() -> ModelFiles.folder(folder.resolve("none")), "no model folder", "none");
    }

    @ParameterizedTest
    @ValueSource(strings = {"I32", "F64", "F8_E5M2", "U8", "F4", "f32", "NEW_2030"})
    void otherDtypesAreNamed(String dtype) {
        TensorFile file = new TensorFile().add("a", dtype, new byte[bytes(dtype) * 6], 2, 3);
        try (Checkpoint checkpoint = open(file)) {
            assertSays(() -> checkpoint.matrix("a", 2, 3), "tensor a is of dtype " + dtype, "known: F32");
        }
    }

    private static int bytes(String dtype) {
        return switch (dtype) {
            case "I32" -> 4;
            case "F64" -> 8;
            default -> 1;
        };
    }

    @Test
    void shards() {
        write("x.safetensors", floats("a", 1, 2).bytes());
        write("y.safetensors", new TensorFile().addFloats("b", new float[] {7, 8, 9}, 3).bytes());
        index("{\"a\":\"x.safetensors\",\"b\":\"y.safetensors\"}");
        try (Checkpoint checkpoint = open()) {
            checkpoint.matrix("a", 1, 2);
            assertArrayEquals(new float[] {7, 8, 9}, checkpoint.vector("b", 3).toArray());
            checkpoint.finish();
            assertEquals(5, checkpoint.parameters());
            assertEquals(20, checkpoint.bytes());
        }
    }

    @Test
    void shardsThatAreNotNeededNeedNotBeThere() {
        write("x.safetensors", floats("a", 1, 2).addFloats("b", new float[1], 1).bytes());
        index("{\"a\":\"x.safetensors\",\"b\":\"x.safetensors\",\"c\":\"gone.safetensors\"}");
        assertSays(() -> open(name -> name.equals("b")), "has no gone.safetensors");
        List<String> heard = new ArrayList<>();
        LoadListener listener = new LoadListener() {
            @Override
            public void mapped(int files, int of) {
                heard.add(files + "/" + of);
            }
        };
        try (Checkpoint checkpoint = Checkpoint.open(
                ModelFiles.folder(folder), 128, 128, name -> name.equals("b") || name.equals("c"), listener)) {
            checkpoint.matrix("a", 1, 2);
            checkpoint.finish();
        }
        assertEquals(List.of("0/1", "1/1"), heard);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{\"a\":\"x.safetensors\",\"b\":\"gone.safetensors\"} | has no gone.safetensors",
        "{\"a\":\"x.safetensors\",\"b\":\"x.safetensors\"}    | says that x.safetensors has tensor b; it has not",
        "{\"a\":\"x.safetensors\",\"c\":\"twin.safetensors\"} | tensor a is in another file too",
        "{\"a\":\"../x.safetensors\"} | tensor a is not in a .safetensors file of the same folder",
        "{\"a\":\"/etc/x.safetensors\"}                       | tensor a is not in",
        "{\"a\":\"..\\\\x.safetensors\"}                      | tensor a is not in",
        "{\"a\":\"x.bin\"}                                    | tensor a is not in",
        "{\"a\":\"\"}                                         | tensor a is not in",
        "{\"a\":null}                                         | tensor a is not in",
        "{\"a\":1}                                            | tensor a is not in",
        "{\"a\":[\"x.safetensors\"]}                          | tensor a is not in",
        "{\"a\":\"x\\u0000.safetensors\"}                     | has no x",
        "[]                                                   | has no weight_map",
        "null                                                 | has no weight_map",
    })
    void badIndex(String map, String says) {
        write("x.safetensors", floats("a", 1, 2).bytes());
        write("twin.safetensors", floats("a", 1, 2).addFloats("c", new float[1], 1).bytes());
        index(map);
        assertSays(this::open, folder.toString(), says);
    }

    @Test
    void indexThatIsNotJson() {
        write(INDEX, "{\"weight_map\":".getBytes());
        assertSays(this::open, INDEX, "not valid JSON");
        write(INDEX, "[]".getBytes());
        assertSays(this::open, INDEX, "JSON object");
    }

    @Test
    void plainDtypesDecode() {
        float[] values = {0, -0f, 1, -1.5f, 0.333251953125f, 65504, -3.0517578125e-5f};
        short[] half = new short[values.length];
        short[] bfloat = new short[values.length];
        for (int i = 0; i < values.length; i++) {
            half[i] = Float.floatToFloat16(values[i]);
            bfloat[i] = (short) (Float.floatToRawIntBits(values[i]) >>> 16);
        }
        TensorFile file = new TensorFile()
                .add("odd", "F8_E4M3", new byte[] {1}, 1) // so that nothing behind it is aligned
                .addFloats("odd_scale_inv", new float[] {2}, 1, 1)
                .addFloats("f32", values, 7)
                .add("f16", "F16", TensorFile.littleEndian(half), 7)
                .add("bf16", "BF16", TensorFile.littleEndian(bfloat), 7);
        try (Checkpoint checkpoint = open(file)) {
            assertArrayEquals(values, checkpoint.vector("f32", 7).toArray());
            assertArrayEquals(values, checkpoint.vector("f16", 7).toArray());
            float[] expected = {0, -0f, 1, -1.5f, Float.intBitsToFloat(bfloat[4] << 16), 65280, -3.0517578125e-5f};
            assertArrayEquals(expected, checkpoint.vector("bf16", 7).toArray());
        }
    }

    /** 130 x 300 in blocks of 128 x 128: the last of rows and of columns are partial. */
    @Test
    void partialBlocksDecodeToValueTimesScale() {
        int rows = 130;
        int columns = 300;
        Random random = new Random(1);
        byte[] codes = new byte[rows * columns];
        random.nextBytes(codes);
        float[] scales = new float[2 * 3];
        for (int i = 0; i < scales.length; i++) {
            scales[i] = (float) Math.exp(random.nextGaussian());
        }
        TensorFile file = new TensorFile()
                .add("w", "F8_E4M3", codes, rows, columns)
                .addFloats("w_scale_inv", scales, 2, 3);
        try (Checkpoint checkpoint = open(file)) {
            Weight weight = checkpoint.matrix("w", rows, columns);
            float[] decoded = new float[columns];
            for (int r = 0; r < rows; r++) {
                weight.decodeRow(r, decoded);
                for (int c = 0; c < columns; c++) {
                    float scale = scales[r / 128 * 3 + c / 128];
                    assertEquals(scale, weight.scale(r, c));
                    assertEquals(Fp8E4M3.decode(codes[r * columns + c]) * scale, decoded[c], r + ", " + c);
                }
            }
            checkpoint.finish();
            assertEquals(rows * columns, checkpoint.parameters());
            assertEquals(rows * columns + 6 * 4, checkpoint.bytes());
            assertEquals(checkpoint.bytes(), weight.bytes());
        }
    }

    @Test
    void scalesThatAreNotThere() {
        TensorFile file = new TensorFile()
                .add("alone", "F8_E4M3", new byte[6], 2, 3)
                .add("large", "F8_E4M3", new byte[129], 129, 1)
                .addFloats("large_scale_inv", new float[1], 1, 1)
                .add("coarse", "F8_E4M3", new byte[6], 2, 3)
                .add("coarse_scale_inv", "BF16", new byte[2], 1, 1);
        try (Checkpoint checkpoint = open(file)) {
            assertSays(() -> checkpoint.matrix("alone", 2, 3), "tensor alone_scale_inv [1, 1] is missing");
            assertSays(() -> checkpoint.matrix("large", 129, 1),
                    "large_scale_inv must have shape [2, 1]", "has [1, 1]");
            assertSays(() -> checkpoint.matrix("coarse", 2, 3), "coarse_scale_inv is of dtype BF16", "must be F32");
        }
    }

    /** A scale that no FP8 weight asked for is as foreign as any tensor. */
    @Test
    void scalesOfPlainWeights() {
        try (Checkpoint checkpoint = open(floats("w", 2, 3).addFloats("w_scale_inv", new float[1], 1, 1))) {
            checkpoint.matrix("w", 2, 3);
            assertSays(checkpoint::finish, "tensor w_scale_inv");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"F32", "F16", "BF16", "F8_E4M3"})
    void anyRangeOfARowIsPartOfTheRow(String dtype) {
        int columns = 270;
        byte[] bytes = new byte[3 * columns * DType.valueOf(dtype).bytes()];
        new Random(2).nextBytes(bytes);
        TensorFile file = new TensorFile()
                .add("w", dtype, bytes, 3, columns)
                .addFloats("w_scale_inv", new float[] {0.5f, 3, 7}, 1, 3);
        try (Checkpoint checkpoint = open(file)) {
            Weight weight = checkpoint.matrix("w", 3, columns);
            float[] row = new float[columns];
            int[] bounds = {0, 1, 2, 64, 127, 128, 129, 255, 256, 257, 269, 270};
            for (int r = 0; r < 3; r++) {
                weight.decodeRow(r, row);
                for (int from : bounds) {
                    for (int to : bounds) {
                        float[] part = new float[Math.max(0, to - from)];
                        if (from <= to) {
                            weight.decode(r, from, to, part);
                            assertArrayEquals(Arrays.copyOfRange(row, from, to), part);
                        }
                    }
                }
            }
        }
    }

    @Test
    void unmappedAfterClose() {
        Checkpoint checkpoint = open(floats("w", 2, 3));
        Weight weight = checkpoint.matrix("w", 2, 3);
        checkpoint.close();
        assertThrows(IllegalStateException.class, () -> weight.toArray());
    }

    /** A file that fails to open is not kept mapped: it can be replaced and opened again. */
    @Test
    void opensAfterAFailure() {
        write(SINGLE, new byte[3]);
        assertSays(this::open, "truncated");
        open(floats("w", 2, 3)).close();
    }
}
