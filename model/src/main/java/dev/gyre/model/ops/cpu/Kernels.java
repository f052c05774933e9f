package dev.gyre.model.ops.cpu;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.WorkerPool;
import dev.gyre.attention.backend.Phase;
import dev.gyre.attention.backend.Providers;
import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.ops.MlaShape;

/** The operations where the time outside attention goes. Shapes as in {@link dev.gyre.model.ops.Ops}. */
public interface Kernels {
    /** The kernels of that name, which must be available. */
    static Kernels of(String name, WorkerPool pool) {
        return switch (name) {
            case Providers.REFERENCE -> new ReferenceKernels(pool);
            case Providers.VECTOR -> new VectorKernels(pool);
            default -> throw EngineException.usage(
                    Phase.LINEAR.option() + " " + name + " does not exist; use vector or reference.");
        };
    }

    /** {@code out = x weight^T}. */
    void linear(int rows, HostTensor x, Weight weight, HostTensor out);

    /** All of these products. */
    void linear(LinearGroups groups);

    /** {@code out = [q_nope W_UK | q_rope]} by heads. */
    void absorb(int rows, HostTensor q, Weight kvB, MlaShape shape, HostTensor out);

    /** {@code out = x W_UV^T} by heads. */
    void expand(int rows, HostTensor x, Weight kvB, MlaShape shape, HostTensor out);

    /** {@code out = silu(gate) * up}; out may be gate. */
    void swiGlu(int rows, HostTensor gate, HostTensor up, HostTensor out);
}
