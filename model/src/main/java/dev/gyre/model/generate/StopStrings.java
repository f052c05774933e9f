package dev.gyre.model.generate;

import java.util.List;

/** Watches a stream of text for stop strings, and holds back what may be the beginning of one. */
final class StopStrings {
    private final List<String> stops;
    private final StringBuilder held = new StringBuilder();
    private String found;

    StopStrings(List<String> stops) {
        this.stops = stops;
    }

    /** Adds text; returns what can be shown. Once a stop string was found, it and what follows are dropped. */
    String push(String text) {
        if (found != null) {
            return "";
        }
        held.append(text);
        int first = Integer.MAX_VALUE;
        for (String stop : stops) {
            int at = held.indexOf(stop);
            if (at >= 0 && at < first) {
                first = at;
                found = stop;
            }
        }
        return release(found != null ? first : held.length() - longestBeginning());
    }

    /** The stop string that has come; null where none has. */
    String found() {
        return found;
    }

    /** What was held back and will not become a stop string any more. */
    String finish() {
        return found != null ? "" : release(held.length());
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
