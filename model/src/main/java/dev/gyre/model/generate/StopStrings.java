package dev.gyre.model.generate;

import java.util.List;

/** Watches a stream of text for stop strings, and holds back what may be the beginning of one. */
final class StopStrings {
    private final List<String> stops;
    private final StringBuilder held = new StringBuilder();
    private boolean found;

    StopStrings(List<String> stops) {
        this.stops = stops;
    }

    /** Adds text; returns what can be shown. Once a stop string was found, it and what follows are dropped. */
    String push(String text) {
        if (found) {
            return "";
        }
        held.append(text);
        int first = Integer.MAX_VALUE;
        for (String stop : stops) {
            int at = held.indexOf(stop);
            if (at >= 0) {
                first = Math.min(first, at);
                found = true;
            }
        }
        return release(found ? first : held.length() - longestBeginning());
    }

    /** Whether a stop string has come. */
    boolean found() {
        return found;
    }

    /** What was held back and will not become a stop string any more. */
    String finish() {
        return found ? "" : release(held.length());
    }

    private String release(int length) {
        String text = held.substring(0, length);
        held.delete(0, length);
        return text;
    }

    /** How much of the end is the beginning of a stop string. */
    private int longestBeginning() {
        int longest = 0;
        for (String stop : stops) {
            for (int length = Math.min(stop.length() - 1, held.length()); length > longest; length--) {
                if (stop.startsWith(held.substring(held.length() - length))) {
                    longest = length;
                }
            }
        }
        return longest;
    }
}
