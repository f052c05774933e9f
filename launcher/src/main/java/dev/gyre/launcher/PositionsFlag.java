package dev.gyre.launcher;

import dev.gyre.attention.EngineException;
import picocli.CommandLine.Option;

import java.util.Arrays;
import java.util.stream.IntStream;

/** Which tokens of a prompt a command is about. */
final class PositionsFlag {
    @Option(
            names = "--positions",
            paramLabel = "WHICH",
            defaultValue = "last",
            description = "all, last, or positions such as 3,5 (default: last)")
    private String positions;

    /** The positions, ascending, in a prompt of {@code length} tokens. */
    int[] of(int length) {
        if (positions.equals("all")) {
            return IntStream.range(0, length).toArray();
        }
        if (positions.equals("last")) {
            return new int[] {length - 1};
        }
        int[] wanted = Arrays.stream(Ids.parse(positions, "--positions")).sorted().distinct().toArray();
        if (wanted[wanted.length - 1] >= length) {
            throw new EngineException("--positions " + wanted[wanted.length - 1] + " is beyond the prompt, whose last "
                    + "of " + length + " tokens is at position " + (length - 1) + ".");
        }
        return wanted;
    }
}
