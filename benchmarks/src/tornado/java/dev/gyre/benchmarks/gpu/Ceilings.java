package dev.gyre.benchmarks.gpu;

import uk.ac.manchester.tornado.api.TaskGraph;
import uk.ac.manchester.tornado.api.TornadoExecutionPlan;
import uk.ac.manchester.tornado.api.common.TornadoDevice;
import uk.ac.manchester.tornado.api.enums.DataTransferMode;
import uk.ac.manchester.tornado.api.exceptions.TornadoExecutionPlanException;
import uk.ac.manchester.tornado.api.types.HalfFloat;
import uk.ac.manchester.tornado.api.types.arrays.HalfFloatArray;
import uk.ac.manchester.tornado.cublas.CuBlas;
import uk.ac.manchester.tornado.cublas.enums.CuBlasOperation;

/** What the device reaches at copying and at multiplying, through TornadoVM: the shares of the tables refer to it. */
final class Ceilings {
    private static final int EDGE = 8192;

    private Ceilings() {}

    /** Bytes read and written a second. */
    static double copyBytesPerSecond(TornadoDevice device) {
        CopyWork copy = new CopyWork();
        return copy.bytes() / GpuCase.seconds(device, copy);
    }

    /** Operations a second of cuBLAS' f16 product of 8192^3, sums in f32. */
    static double f16FlopsPerSecond(TornadoDevice device) {
        HalfFloatArray a = new HalfFloatArray(EDGE * EDGE);
        HalfFloatArray b = new HalfFloatArray(EDGE * EDGE);
        HalfFloatArray c = new HalfFloatArray(EDGE * EDGE);
        float[] some = Inputs.normal(1 << 16, 12);
        for (int i = 0; i < EDGE * EDGE; i++) {
            a.set(i, new HalfFloat(some[i * 0x9e3779b1 >>> 16]));
            b.set(i, new HalfFloat(some[(i + 7) * 0x85ebca6b >>> 16]));
        }
        c.init(new HalfFloat(0f));
        double[] seconds = new double[2];
        for (int i = 0; i < 2; i++) {
            TaskGraph graph = new TaskGraph("product").transferToDevice(DataTransferMode.FIRST_EXECUTION, a, b, c);
            int plain = CuBlasOperation.CUBLAS_OP_N.operation();
            for (int task = 0; task < 1 + 4 * i; task++) {
                graph.libraryTask("t" + task, CuBlas::cublasGemmExFP16, plain, plain, EDGE, EDGE, EDGE, 1f, b, EDGE, a,
                        EDGE, 0f, c, EDGE);
            }
            seconds[i] = median(
                    device, graph.transferToHost(DataTransferMode.UNDER_DEMAND, c), c);
        }
        for (int sample = 0; sample < 16; sample++) {
            int row = sample * 509;
            int column = sample * 401 + 3;
            double expected = 0;
            for (int d = 0; d < EDGE; d++) {
                expected += (double) a.get(row * EDGE + d).getFloat32() * b.get(d * EDGE + column).getFloat32();
            }
            float found = c.get(row * EDGE + column).getFloat32();
            if (!(Math.abs(found - expected) < 0.05 * Math.sqrt(EDGE))) {
                throw new IllegalStateException("product: " + found + " instead of " + expected);
            }
        }
        return 4 * 2.0 * EDGE * EDGE * EDGE / (seconds[1] - seconds[0]);
    }

    private static double median(TornadoDevice device, TaskGraph graph, Object result) {
        try (TornadoExecutionPlan plan = new TornadoExecutionPlan(graph.snapshot())) {
            plan.withDevice(device);
            double seconds = GpuCase.median(plan::execute);
            plan.execute().transferToHost(result);
            return seconds;
        } catch (TornadoExecutionPlanException e) {
            throw new IllegalStateException(e);
        }
    }
}
