package dev.gyre.model.ops.cpu;

import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.ops.MlpWeights;
import dev.gyre.model.ops.MoeWeights;

import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.Map;

/**
 * Mixture of experts: tokens are grouped by expert, so that an expert's weights are read once a step. Experts are added
 * in the order of their numbers, whatever else is in the batch, so that a token's result does not depend on it.
 */
final class MoeRunner {
    private final Kernels kernels;
    private final Elementwise elementwise;
    private final Map<MoeWeights, Router> routers = new IdentityHashMap<>();
    private HostTensor logits = HostTensor.allocate(0, 1);
    private HostTensor gathered = HostTensor.allocate(0, 1);
    private HostTensor gate = HostTensor.allocate(0, 1);
    private HostTensor up = HostTensor.allocate(0, 1);
    private HostTensor down = HostTensor.allocate(0, 1);
    private float[] weights = new float[0];
    private float[] tokenWeights = new float[0];
    private int[] members = new int[0];

    MoeRunner(Kernels kernels, Elementwise elementwise) {
        this.kernels = kernels;
        this.elementwise = elementwise;
    }

    void run(int rows, HostTensor x, MoeWeights moe, HostTensor out) {
        int experts = moe.routing().experts();
        logits = fit(logits, rows, experts);
        gathered = fit(gathered, rows, x.columns());
        down = fit(down, rows, x.columns());
        if (weights.length < rows * experts) {
            weights = new float[Math.multiplyExact(rows, experts)];
        }
        if (members.length < rows) {
            members = new int[rows];
        }
        route(rows, x, moe);
        for (int row = 0; row < rows; row++) {
            Arrays.fill(out.data(), out.row(row), out.row(row) + out.columns(), 0f);
        }
        for (int e = 0; e < experts; e++) {
            int count = 0;
            for (int row = 0; row < rows; row++) {
                if (weights[row * experts + e] != 0) {
                    members[count++] = row;
                }
            }
            if (count > 0) {
                for (int i = 0; i < count; i++) {
                    System.arraycopy(x.data(), x.row(members[i]), gathered.data(), gathered.row(i), x.columns());
                }
                mlp(count, gathered, moe.experts().get(e), down);
                for (int i = 0; i < count; i++) {
                    float weight = weights[members[i] * experts + e];
                    Elementwise.addScaled(
                            down.data(), down.row(i), weight, out.data(), out.row(members[i]), down.columns());
                }
            }
        }
        if (moe.shared() != null) {
            mlp(rows, x, moe.shared(), down);
            elementwise.add(rows, down, out);
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

    private void mlp(int rows, HostTensor x, MlpWeights mlp, HostTensor out) {
        gate = fit(gate, rows, mlp.inner());
        up = fit(up, rows, mlp.inner());
        kernels.linear(rows, x, mlp.gate(), gate);
        kernels.linear(rows, x, mlp.up(), up);
        kernels.swiGlu(rows, gate, up, gate);
        kernels.linear(rows, gate, mlp.down(), out);
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
