package dev.gyre.attention.policy;

import dev.gyre.attention.LayerStep;
import dev.gyre.attention.Selection;

/**
 * {@code random}: k tokens drawn without replacement, every set as likely as any other; what a policy must beat. The
 * draw depends on the seed, the layer and the row's position, so that a run can be repeated.
 *
 * <p>Costs no operations and reads nothing.
 *
 * <p>The tokens are drawn in their order, each with the probability {@code wanted / left} (selection sampling: Knuth,
 * The Art of Computer Programming, volume 2, 3.4.2, algorithm S).
 */
final class RandomPolicy extends TopKPolicy {
    private final long seed;

    RandomPolicy(PolicyParameters parameters, PolicyContext context) {
        super(parameters, context);
        seed = parameters.count("seed", 0);
    }

    @Override
    void choose(LayerStep step, int from, int to, Selection selection) {
        int k = selection.k();
        for (int row = from; row < to; row++) {
            int visible = step.rows().visible(row);
            long state = mix(mix(mix(seed) + step.layer()) + visible);
            int count = 0;
            for (int position = 0; count < k; position++) {
                // the upper half of a hash times n, shifted back, is uniform in [0, n)
                long draw = (mix(state + position) >>> 32) * (visible - position) >>> 32;
                if (draw < k - count) {
                    selection.positions()[row * k + count++] = position;
                }
            }
            selection.finishRow(step.rows(), row, count);
        }
    }

    /** SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). */
    private static long mix(long value) {
        long z = value * 0x9e3779b97f4a7c15L + 0x9e3779b97f4a7c15L;
        z = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
        z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
        return z ^ z >>> 31;
    }
}
