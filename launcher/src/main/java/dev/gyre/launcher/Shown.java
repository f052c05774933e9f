package dev.gyre.launcher;

import dev.gyre.model.Model;

/** Tokens and positions as a terminal shows them. */
final class Shown {
    private Shown() {}

    /** The text of a token, in quotes and on one line; empty where the model has no tokenizer. */
    static String token(Model model, int token) {
        if (!model.hasTokenizer()) {
            return "";
        }
        return '"' + model.tokenizer().decode(new int[] {token}, false).replace("\n", "\\n").replace("\r", "\\r") + '"';
    }

    /** {@code 0-3 7 9-12}. */
    static String ranges(int[] sorted) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < sorted.length; ) {
            int end = i;
            while (end + 1 < sorted.length && sorted[end + 1] == sorted[end] + 1) {
                end++;
            }
            text.append(i == 0 ? "" : " ").append(sorted[i]);
            if (end > i) {
                text.append('-').append(sorted[end]);
            }
            i = end + 1;
        }
        return text.toString();
    }
}
