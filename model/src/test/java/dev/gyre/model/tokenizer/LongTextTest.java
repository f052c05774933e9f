package dev.gyre.model.tokenizer;

import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Random;
import java.util.stream.Stream;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** Megabytes of one kind: neither the stack nor the patience runs out. */
class LongTextTest {
    private static final int LENGTH = 5_000_000;

    record LongText(String name, String text) {
        @Override
        public String toString() {
            return name;
        }
    }

    static Stream<LongText> texts() {
        return Stream.of(
                new LongText("one letter", "a".repeat(LENGTH)),
                new LongText("spaces", " ".repeat(LENGTH)),
                new LongText("spaces, then a letter", " ".repeat(LENGTH) + "a"),
                new LongText("newlines", "\n".repeat(LENGTH)),
                new LongText("newline, spaces, letter", "\n" + " ".repeat(LENGTH) + "a"),
                new LongText("spaces and newlines in turn", " \n".repeat(LENGTH / 2) + "a"),
                new LongText("tabs and returns", "\t\r\n\u00a0".repeat(LENGTH / 4) + "1"),
                new LongText("digits", "0123456789".repeat(LENGTH / 10)),
                new LongText("punctuation", "!?.,".repeat(LENGTH / 4)),
                new LongText("less-than signs", "<".repeat(LENGTH)),
                new LongText("ideographs", "漢字".repeat(LENGTH / 2)),
                new LongText("combining marks", "\u0301".repeat(LENGTH)),
                new LongText("emoji", "🙂".repeat(LENGTH / 2)),
                new LongText("control characters", "\u0001".repeat(LENGTH)),
                new LongText("random letters", random("abcdefghijklmnopqrstuvwxyz")),
                new LongText("random everything", random("ab  \n\r\t.,!<｜>é漢1230\u3000\u0301")),
                new LongText("prose",
                        "It was 1851, and — naïve as ever — we sailed for 日本.\n\n  ".repeat(LENGTH / 56)));
    }

    private static String random(String alphabet) {
        var random = new Random(31);
        char[] text = new char[LENGTH];
        for (int i = 0; i < text.length; i++) {
            text[i] = alphabet.charAt(random.nextInt(alphabet.length()));
        }
        return new String(text);
    }

    @ParameterizedTest
    @MethodSource("texts")
    @Timeout(120) // far above what it takes: quadratic time would be hours
    void roundTrips(LongText each) {
        Tokenizer tokenizer = Samples.deepSeek();
        assertEquals(each.text(), tokenizer.decode(tokenizer.encode(each.text()), false));
    }
}
