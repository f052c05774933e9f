package dev.gyre.model.chat;

/** Finds out whether a growing text may be about to spell a marker. */
final class Markers {
    private Markers() {}

    /** How many characters the text has in common from {@code at} on with the beginning of {@code marker}. */
    static int common(CharSequence text, int at, String marker) {
        int length = 0;
        while (length < marker.length() && at + length < text.length()
                && text.charAt(at + length) == marker.charAt(length)) {
            length++;
        }
        return length;
    }

    /**
     * Where in the text, from {@code from} on, its end begins to spell {@code marker}; the text's length when it does
     * not. The marker begins with a character that it does not have again, so there is one such place at most.
     */
    static int beginning(StringBuilder text, int from, String marker) {
        int at = text.lastIndexOf(marker.substring(0, 1));
        boolean begins = at >= from && text.length() - at < marker.length()
                && at + common(text, at, marker) == text.length();
        return begins ? at : text.length();
    }
}
