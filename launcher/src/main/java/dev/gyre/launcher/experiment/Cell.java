package dev.gyre.launcher.experiment;

import java.io.Serializable;

/**
 * One point of a sweep; serializable, since it may be measured on another machine.
 *
 * @param policy a selection policy with all its parameters
 * @param topk how many tokens it selects; 0 for {@code dense}, which selects everything
 * @param context tokens of a window
 * @param text the file's name, as the sweep gives it
 */
public record Cell(String policy, int topk, int context, String text) implements Serializable {
    /** For a line of progress or of a complaint. */
    @Override
    public String toString() {
        return policy + (topk > 0 ? ", k = " + topk : "") + ", " + context + " tokens of " + text;
    }
}
