package dev.gyre.model.config;

import dev.gyre.attention.EngineException;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Layers of a model that follow one another: the option {@code --layers}.
 *
 * @param first number of the first layer; the model's own is 0
 * @param last number of the last layer, which belongs to the range
 */
public record LayerRange(int first, int last) {
    private static final Pattern BOUNDS = Pattern.compile("(\\d{1,6})\\.\\.(\\d{1,6})");

    /** Checks the order. */
    public LayerRange {
        if (first < 0 || last < first) {
            throw EngineException.usage("--layers " + first + ".." + last
                    + " holds no layer; write the first and the last, as in 0..7.");
        }
    }

    /** The range of {@code A..B}. */
    public static LayerRange parse(String text) {
        Matcher bounds = BOUNDS.matcher(text);
        if (!bounds.matches()) {
            throw EngineException.usage("--layers '" + text
                    + "' is no range; write the numbers of the first and the last layer, as in 0..7.");
        }
        return new LayerRange(Integer.parseInt(bounds.group(1)), Integer.parseInt(bounds.group(2)));
    }

    /** How many layers that is. */
    public int count() {
        return last - first + 1;
    }

    /** As {@link #parse} reads it. */
    @Override
    public String toString() {
        return first + ".." + last;
    }
}
