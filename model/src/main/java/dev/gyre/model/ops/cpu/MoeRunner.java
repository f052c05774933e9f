package dev.gyre.model.ops.cpu;

import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.MlpWeights;
import dev.gyre.model.ops.MoeWeights;

import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.Map;

/**
 * Mixture of experts: tokens are grouped by expert, so that an expert's weights are read once a step, and all experts
 * are computed together. They are added in the order of their numbers, whatever else is in the batch, so that a token's
 * result does not depend on it; the shared experts come last.
 */
final class MoeRunner {
    private final Kernels kernels;
    private final Elementwise elementwise;
    private final Map<MoeWeights, Router> routers = new IdentityHashMap<>();
    private final LinearGroups groups = new LinearGroups();
    private HostTensor logits = HostTensor.allocate(0, 1);
    /** The tokens of the first expert, those of the second, ...: a token stands there once for each of its experts. */
    private HostTensor gathered = HostTensor.allocate(0, 1);
    private final Hidden routed = new Hidden();
    private final Hidden shared = new Hidden();
    private float[] weights = new float[0];
    private float[] tokenWeights = new float[0];
    /** Which token each row of {@link #gathered} is. */
    private int[] members = new int[0];
    /** Where each expert's rows begin there. */
    private int[] starts = new int[0];

    /** What lies between the two layers of an MLP, and what comes out of it. */
    private static final class Hidden {
        private HostTensor gate = HostTensor.allocate(0, 1);
        private HostTensor up = HostTensor.allocate(0, 1);
        private HostTensor down = HostTensor.allocate(0, 1);

        void fit(int rows, int inner, int columns) {
            gate = MoeRunner.fit(gate, rows, inner);
            up = MoeRunner.fit(up, rows, inner);
            down = MoeRunner.fit(down, rows, columns);
        }
    }

    MoeRunner(Kernels kernels, Elementwise elementwise) {
        this.kernels = kernels;
        this.elementwise = elementwise;
    }

    /** Bytes that steps of so many rows need. */
    static long bytes(ModelConfig config, int rows) {
        ModelConfig.Moe moe = config.moe();
        long routed = 2L * moe.intermediate() + 2L * config.hidden(); // gathered, gate, up, down
        long shared = moe.shared() == 0 ? 0 : 2L * moe.shared() * moe.intermediate() + config.hidden();
        long router = 2L * moe.experts(); // logits and weights
        return (long) Float.BYTES * rows * (moe.perToken() * routed + shared + router);
    }

    void run(int rows, HostTensor x, MoeWeights moe, HostTensor out) {
        int experts = moe.routing().experts();
        logits = fit(logits, rows, experts);
        if (weights.length < rows * experts) {
            weights = new float[Math.multiplyExact(rows, experts)];
        }
        route(rows, x, moe);
        int total = gather(rows, x, experts);
        routed.fit(total, moe.experts().getFirst().inner(), x.columns());
        if (moe.shared() != null) {
            shared.fit(rows, moe.shared().inner(), x.columns());
        }

        groups.clear();
        for (int e = 0; e < experts; e++) {
            if (starts[e + 1] > starts[e]) {
                MlpWeights expert = moe.experts().get(e);
                int count = starts[e + 1] - starts[e];
                groups.add(count, gathered, starts[e], expert.gate(), routed.gate, starts[e]);
                groups.add(count, gathered, starts[e], expert.up(), routed.up, starts[e]);
            }
        }
        if (moe.shared() != null) {
            groups.add(rows, x, 0, moe.shared().gate(), shared.gate, 0);
            groups.add(rows, x, 0, moe.shared().up(), shared.up, 0);
        }
        kernels.linear(groups);
        kernels.swiGlu(total, routed.gate, routed.up, routed.gate);
        if (moe.shared() != null) {
            kernels.swiGlu(rows, shared.gate, shared.up, shared.gate);
        }
        groups.clear();
        for (int e = 0; e < experts; e++) {
            if (starts[e + 1] > starts[e]) {
                Weight down = moe.experts().get(e).down();
                groups.add(starts[e + 1] - starts[e], routed.gate, starts[e], down, routed.down, starts[e]);
            }
        }
        if (moe.shared() != null) {
            groups.add(rows, shared.gate, 0, moe.shared().down(), shared.down, 0);
        }
        kernels.linear(groups);
        add(rows, experts, moe, out);
    }

    /** Puts the tokens of every expert together; returns how many rows that makes. */
    private int gather(int rows, HostTensor x, int experts) {
        if (starts.length < experts + 1) {
            starts = new int[experts + 1];
        }
        int total = 0;
        for (int e = 0; e < experts; e++) {
            starts[e] = total;
            for (int row = 0; row < rows; row++) {
                if (weights[row * experts + e] != 0) {
                    if (total == members.length) {
                        members = Arrays.copyOf(members, Math.max(64, total * 2));
                    }
                    members[total++] = row;
                }
            }
        }
        starts[experts] = total;
        gathered = fit(gathered, total, x.columns());
        for (int i = 0; i < total; i++) {
            System.arraycopy(x.data(), x.row(members[i]), gathered.data(), gathered.row(i), x.columns());
        }
        return total;
    }

    private void add(int rows, int experts, MoeWeights moe, HostTensor out) {
        for (int row = 0; row < rows; row++) {
            Arrays.fill(out.data(), out.row(row), out.row(row) + out.columns(), 0f);
        }
        for (int e = 0; e < experts; e++) {
            for (int i = starts[e]; i < starts[e + 1]; i++) {
                HostTensor down = routed.down;
                float weight = weights[members[i] * experts + e];
                Elementwise.addScaled(
                        down.data(), down.row(i), weight, out.data(), out.row(members[i]), down.columns());
            }
        }
        if (moe.shared() != null) {
            elementwise.add(rows, shared.down, out);
        }
    }

    private void route(int rows, HostTensor x, MoeWeights moe) {
        int experts = moe.routing().experts();
        Router router = routers.computeIfAbsent(moe, m -> new Router(m.routing(), m.bias().toArray()));
        Weight gateWeight = moe.gate();
        kernels.linear(rows, x, gateWeight, logits);
        if (tokenWeights.length != experts) {
            tokenWeights = new float[experts];
        }
        for (int row = 0; row < rows; row++) {
            router.route(logits.data(), logits.row(row), tokenWeights);
            System.arraycopy(tokenWeights, 0, weights, row * experts, experts);
        }
    }

    /** The tensor itself where it has room and the right width, otherwise a new one. */
    private static HostTensor fit(HostTensor tensor, int rows, int columns) {
        if (tensor.columns() == columns && tensor.capacity() >= rows) {
            return tensor;
        }
        if (tensor.data().length >= Math.multiplyExact(rows, columns)) {
            return new HostTensor(tensor.data(), 0, columns, tensor.data().length / columns, columns);
        }
        return HostTensor.allocate(rows, columns);
    }
}
