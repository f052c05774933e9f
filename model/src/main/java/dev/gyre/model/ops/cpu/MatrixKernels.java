package dev.gyre.model.ops.cpu;

import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.ops.MlaShape;

/** The operations that read weight matrices, which is where the time outside attention goes. Shapes as in Ops. */
interface MatrixKernels {
    void linear(int rows, HostTensor x, Weight weight, HostTensor out);

    void absorb(int rows, HostTensor q, Weight kvB, MlaShape shape, HostTensor out);

    void expand(int rows, HostTensor x, Weight kvB, MlaShape shape, HostTensor out);
}
