package dev.gyre.model.tokenizer;

/**
 * UTF-8 decoding a byte at a time. Each maximal invalid run becomes one U+FFFD, as the Unicode Standard (chapter 3.9,
 * "substitution of maximal subparts") and Rust's {@code from_utf8_lossy} have it. The JDK's own decoder differs on
 * encoded surrogates (it writes one U+FFFD for ED A0 80 where those write three), and cannot pause inside a character.
 */
final class Utf8Decoder {
    private static final char REPLACEMENT = '\uFFFD';

    private final StringBuilder out = new StringBuilder();
    private int codePoint;
    private int missing;
    /** The range the next continuation byte must lie in: narrower than 80..BF after E0, ED, F0 and F4. */
    private int lower;
    private int upper;

    void write(byte[] bytes) {
        for (byte b : bytes) {
            write(b & 0xFF);
        }
    }

    private void write(int b) {
        if (missing > 0) {
            if (b >= lower && b <= upper) {
                codePoint = codePoint << 6 | b & 0x3F;
                lower = 0x80;
                upper = 0xBF;
                if (--missing == 0) {
                    out.appendCodePoint(codePoint);
                }
                return;
            }
            missing = 0;
            out.append(REPLACEMENT); // and b is looked at afresh: it may begin a character
        }
        if (b < 0x80) {
            out.append((char) b);
        } else if (b >= 0xC2 && b <= 0xDF) {
            begin(1, b & 0x1F, 0x80, 0xBF);
        } else if (b >= 0xE0 && b <= 0xEF) {
            begin(2, b & 0x0F, b == 0xE0 ? 0xA0 : 0x80, b == 0xED ? 0x9F : 0xBF);
        } else if (b >= 0xF0 && b <= 0xF4) {
            begin(3, b & 0x07, b == 0xF0 ? 0x90 : 0x80, b == 0xF4 ? 0x8F : 0xBF);
        } else {
            out.append(REPLACEMENT);
        }
    }

    private void begin(int continuationBytes, int bits, int lowest, int highest) {
        missing = continuationBytes;
        codePoint = bits;
        lower = lowest;
        upper = highest;
    }

    /** The characters finished since the last call; the bytes of an unfinished one stay. */
    String take() {
        String text = out.toString();
        out.setLength(0);
        return text;
    }

    /** What {@link #take} gives, then U+FFFD when a character was left unfinished; the decoder is as new afterwards. */
    String finish() {
        if (missing > 0) {
            missing = 0;
            out.append(REPLACEMENT);
        }
        return take();
    }
}
