package dev.gyre.launcher;

import dev.gyre.attention.EngineException;

import java.util.Arrays;
import java.util.stream.Collectors;

/** Lists of token ids on the command line: {@code 0,5,9}. */
final class Ids {
    private Ids() {}

    /** The ids in a list separated by commas or white space; {@code what} names the option in messages. */
    static int[] parse(String list, String what) {
        String[] parts = list.strip().split("[,\\s]+");
        if (parts.length == 0) {
            throw EngineException.usage(what + " takes numbers separated by commas, and '" + list + "' holds none.");
        }
        int[] ids = new int[parts.length];
        for (int i = 0; i < parts.length; i++) {
            try {
                ids[i] = Integer.parseInt(parts[i]);
            } catch (NumberFormatException e) {
                throw EngineException.usage(
                        what + " takes numbers separated by commas, and '" + parts[i] + "' is none.");
            }
            if (ids[i] < 0) {
                throw EngineException.usage(what + " takes numbers of at least 0, not " + ids[i] + ".");
            }
        }
        return ids;
    }

    /** {@code 0,5,9}. */
    static String show(int[] ids) {
        return Arrays.stream(ids).mapToObj(Integer::toString).collect(Collectors.joining(","));
    }
}
