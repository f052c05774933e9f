package dev.gyre.model.tokenizer;

import dev.gyre.attention.EngineException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.HexFormat;
import java.util.Random;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

/** Text from ids one at a time: the same as all at once. */
class StreamingDecoderTest {
    private static String stream(Tokenizer tokenizer, int[] ids, boolean skipSpecialTokens) {
        StreamingDecoder decoder = tokenizer.streamingDecoder(skipSpecialTokens);
        StringBuilder text = new StringBuilder();
        for (int id : ids) {
            String more = decoder.push(id);
            assertFalse(!more.isEmpty() && Character.isHighSurrogate(more.charAt(more.length() - 1)));
            text.append(more);
        }
        return text.append(decoder.finish()).toString();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void equalsDecodingAllAtOnce(boolean skipSpecialTokens) {
        var random = new Random(21);
        // one token a byte gives invalid UTF-8 of all kinds; tiny's first ids are special tokens and single bytes
        for (Tokenizer tokenizer : new Tokenizer[] {Samples.bytesOnly(), Samples.tiny()}) {
            for (int round = 0; round < 2000; round++) {
                int bound = round % 2 == 0 ? 256 : tokenizer.vocabularySize();
                int[] ids = random.ints(1 + random.nextInt(40), 0, bound).toArray();
                assertEquals(tokenizer.decode(ids, skipSpecialTokens), stream(tokenizer, ids, skipSpecialTokens));
            }
        }
    }

    @Test
    void neverBreaksACharacterOfValidText() {
        Tokenizer tokenizer = Samples.bytesOnly();
        String text = "naïve — 日本語 👩‍👩‍👧‍👦 \u0000 \uffff \u07ff \u0800 \ud7ff \ue000 \udbff\udfff";
        StreamingDecoder decoder = tokenizer.streamingDecoder(false);
        StringBuilder joined = new StringBuilder();
        for (int id : tokenizer.encode(text)) {
            String more = decoder.push(id);
            assertFalse(more.contains("\uFFFD"));
            joined.append(more);
        }
        assertEquals("", decoder.finish());
        assertEquals(text, joined.toString());
    }

    /** Counted with Rust's from_utf8_lossy, by way of Hugging Face's decoder. */
    @ParameterizedTest
    @CsvSource({"80,1", "C0AF,2", "C2,1", "E080,2", "E0A0,1", "EDA080,3", "F08080,3", "F09F99,1", "F4908080,4", "FF,1",
            "E0A0E0A0,2", "F09F41,2", "EFBFBE,1", "F5808080,4"})
    void replacesEachMaximalInvalidRunOnce(String hex, int characters) {
        byte[] bytes = HexFormat.of().parseHex(hex);
        int[] ids = new int[bytes.length];
        for (int i = 0; i < ids.length; i++) {
            ids[i] = bytes[i] & 0xFF;
        }
        String text = Samples.bytesOnly().decode(ids, false);
        assertEquals(characters, text.length(), text);
        assertEquals(text, stream(Samples.bytesOnly(), ids, false));
    }

    @Test
    void beginsAnewAfterFinish() {
        StreamingDecoder decoder = Samples.bytesOnly().streamingDecoder(false);
        assertEquals("", decoder.push(0xE2));
        assertEquals("\uFFFD", decoder.finish());
        assertEquals("", decoder.finish());
        assertEquals("a", decoder.push('a'));
    }

    @Test
    void namesAnUnknownId() {
        StreamingDecoder decoder = Samples.bytesOnly().streamingDecoder(true);
        assertThrows(EngineException.class, () -> decoder.push(256));
        assertThrows(EngineException.class, () -> decoder.push(-1));
    }
}
