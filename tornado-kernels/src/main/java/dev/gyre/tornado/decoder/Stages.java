package dev.gyre.tornado.decoder;

import java.util.Arrays;

/** Shares layers out among the stages of a pipeline. */
final class Stages {
    private Stages() {}

    /**
     * The first layer of every stage, so that every stage has layers and the largest is as small as can be; of equal
     * splits one whose first stages are small.
     *
     * @param bytes the weights of every layer, in order; at least as many as stages
     */
    static int[] split(long[] bytes, int stages) {
        long[] before = new long[bytes.length + 1];
        for (int i = 0; i < bytes.length; i++) {
            before[i + 1] = before[i] + bytes[i];
        }
        // largest[s][n]: the largest of s stages that share the first n layers; begin[s][n]: where their last one begins
        long[][] largest = new long[stages + 1][bytes.length + 1];
        int[][] begin = new int[stages + 1][bytes.length + 1];
        Arrays.fill(largest[0], Long.MAX_VALUE);
        largest[0][0] = 0;
        for (int s = 1; s <= stages; s++) {
            for (int n = 0; n <= bytes.length; n++) {
                largest[s][n] = Long.MAX_VALUE;
                for (int first = s - 1; first < n; first++) {
                    long size = Math.max(largest[s - 1][first], before[n] - before[first]);
                    if (size < largest[s][n]) {
                        largest[s][n] = size;
                        begin[s][n] = first;
                    }
                }
            }
        }
        int[] firsts = new int[stages];
        int end = bytes.length;
        for (int s = stages; s > 0; s--) {
            end = begin[s][end];
            firsts[s - 1] = end;
        }
        return firsts;
    }
}
