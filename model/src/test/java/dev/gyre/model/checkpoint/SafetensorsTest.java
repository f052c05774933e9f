package dev.gyre.model.checkpoint;

import static dev.gyre.model.Failures.assertSays;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.gyre.model.TensorFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** Every way in which a safetensors file can be wrong is a sentence that names the file and, if it can, the tensor. */
class SafetensorsTest {
    private static final String FILE = "folder: model.safetensors";

    /** Two tensors: a at [0, 24), b at [24, 28). */
    private static TensorFile good() {
        return new TensorFile().addFloats("a", new float[] {1, 2, 3, 4, 5, 6}, 2, 3)
                .add("b", "F8_E4M3", new byte[4], 4);
    }

    private static Map<String, SafetensorsFile.Entry> read(byte[] file) {
        return SafetensorsFile.read(MemorySegment.ofArray(file), FILE);
    }

    private static void assertRejected(byte[] file, String... parts) {
        assertSays(() -> read(file), parts);
        assertSays(() -> read(file), FILE);
    }

    /** {@link #good} with the description of a tensor replaced. */
    private static byte[] with(String tensor, String description) {
        String header = good().header.toString();
        String old = "\"" + tensor + "\":" + good().entry(tensor);
        return TensorFile.of(header.replace(old, "\"" + tensor + "\":" + description), good().data());
    }

    @Test
    void readsNamesDtypesShapesAndBytes() {
        Map<String, SafetensorsFile.Entry> entries = read(good().bytes());
        assertEquals(List.of("a", "b"), List.copyOf(entries.keySet()));
        assertEquals("F32", entries.get("a").dtype());
        assertArrayEquals(new long[] {2, 3}, entries.get("a").shape());
        assertEquals(6f, entries.get("a").data().get(ValueLayout.JAVA_FLOAT_UNALIGNED, 20));
        assertEquals("F8_E4M3 [4]", entries.get("b").shown());
        assertEquals(4, entries.get("b").data().byteSize());
    }

    /** The format allows them all. */
    @Test
    void readsMetadataPaddingEmptyTensorsScalarsAndAnyOrder() {
        TensorFile file = new TensorFile().add("empty", "F32", new byte[0], 0, 7).addFloats("scalar", new float[] {1});
        file.header.putObject("__metadata__").put("format", "pt");
        assertEquals(2, read(TensorFile.of(file.header + "   ", file.data())).size());
        String reversed = "{\"b\":" + good().entry("b") + ",\"a\":" + good().entry("a") + "}";
        assertEquals(List.of("b", "a"), List.copyOf(read(TensorFile.of(reversed, good().data())).keySet()));
        assertEquals(0, read(TensorFile.of("{}", new byte[0])).size());
    }

    /** Whatever the length that is left, a truncated file is noticed. */
    @Test
    void truncatedAnywhere() {
        byte[] file = good().bytes();
        for (int length = 0; length < file.length; length++) {
            assertRejected(Arrays.copyOf(file, length));
        }
        assertRejected(Arrays.copyOf(file, 7), "truncated", "8 bytes");
        assertRejected(Arrays.copyOf(file, 20), "truncated", "the file has 20");
        assertRejected(Arrays.copyOf(file, file.length - 1), "tensor b", "truncated");
    }

    @ParameterizedTest
    @ValueSource(longs = {-1, Long.MIN_VALUE, Long.MAX_VALUE, 0, 1, 3, 100_000_001, 1L << 40})
    void headerLength(long length) {
        assertRejected(TensorFile.of(length, "{}".getBytes(StandardCharsets.UTF_8), new byte[0]), "its header would be "
                + Long.toUnsignedString(length) + " bytes");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{\"a\":         | not valid JSON",
        "xx              | not valid JSON",
        "{} garbage      | not valid JSON",
        "{}{}            | not valid JSON",
        "{\"a\":1,\"a\":1} | not valid JSON",
        "[]              | not a JSON object",
        "null            | not a JSON object",
        "\"text\"        | not a JSON object",
        "`    `          | not a JSON object",
        "{\"a\":1}       | tensor a lacks",
        "{\"a\":null}    | tensor a lacks",
        "{\"a\":[]}      | tensor a lacks",
        "{\"a\":{}}      | tensor a lacks",
    })
    void headerThatIsNotOne(String header, String says) {
        assertRejected(TensorFile.of(header, new byte[0]), says);
    }

    @Test
    void headerNestedTooDeeply() {
        assertRejected(TensorFile.of("{\"a\":".repeat(100_000), new byte[0]), "not valid JSON");
        assertRejected(TensorFile.of("[".repeat(1_000_000), new byte[0]), "not valid JSON");
    }

    @Test
    void duplicateTensors() {
        String twice = "{\"a\":" + good().entry("a") + ",\"a\":" + good().entry("a") + "}";
        assertRejected(TensorFile.of(twice, good().data()), "not valid JSON");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{\"dtype\":\"F32\",\"shape\":[2,3]}                                  | lacks",
        "{\"dtype\":\"F32\",\"data_offsets\":[0,24]}                          | lacks",
        "{\"shape\":[2,3],\"data_offsets\":[0,24]}                            | lacks",
        "{\"dtype\":\"F32\",\"shape\":6,\"data_offsets\":[0,24]}              | lacks",
        "{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0]}             | lacks",
        "{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24,24]}       | lacks",
        "{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":{\"0\":0}}       | lacks",
        "{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,1000]}        | truncated or damaged",
        "{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[24,0]}          | truncated or damaged",
        "{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[-24,0]}         | has -24 where",
        "{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24.0]}        | has 24.0 where",
        "{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,\"24\"]}      | has \"24\" where",
        "{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,99999999999999999999]} | where a size or an offset",
        "{\"dtype\":\"F32\",\"shape\":[2,-3],\"data_offsets\":[0,24]}         | has -3 where",
        "{\"dtype\":\"F32\",\"shape\":[2,null],\"data_offsets\":[0,24]}       | has null where",
        "{\"dtype\":\"F32\",\"shape\":[2,4],\"data_offsets\":[0,24]} | has 24 bytes, which does not fit F32 [2, 4]",
        "{\"dtype\":\"F64\",\"shape\":[2,3],\"data_offsets\":[0,24]} | has 24 bytes, which does not fit F64 [2, 3]",
        "{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,24]}             | does not fit F32 []",
        // 2^62 * 2^2 * 6 wraps around to 0, and 3 * 2^63 / 2 ... to something small
        "{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4,6],\"data_offsets\":[0,24]} | does not fit",
        "{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}    | does not fit",
        "{\"dtype\":\"F32\",\"shape\":[9223372036854775807,0],\"data_offsets\":[0,0]}    | does not fit",
    })
    void badDescription(String description, String says) {
        assertRejected(with("a", description), "tensor a", says);
    }

    @Test
    void overlapsAndGaps() {
        // both say that they begin at 0
        assertRejected(
                with("b", "{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}"), "overlap or leave a gap");
        assertRejected(
                with("b", "{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[20,28]}"),
                "tensor b begins at byte 20 of the data where 24 is due");
        assertRejected(
                with("b", "{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[25,28]}"),
                "tensor b begins at byte 25 of the data where 24 is due");
        assertRejected(
                with("a", "{\"dtype\":\"U8\",\"shape\":[23],\"data_offsets\":[1,24]}"),
                "tensor a begins at byte 1 of the data where 0 is due");
    }

    @Test
    void trailingBytes() {
        byte[] file = good().bytes();
        assertRejected(Arrays.copyOf(file, file.length + 1), "has 29 bytes of data and its tensors take 28");
        assertRejected(TensorFile.of("{}", new byte[5]), "has 5 bytes of data and its tensors take 0");
    }
}
