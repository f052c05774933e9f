package dev.gyre.benchmarks;

import org.openjdk.jmh.infra.BenchmarkParams;

/**
 * What a call of a benchmark has to do at least.
 *
 * @param flops multiplications and additions; 0 where memory is the limit
 * @param bytes bytes read; 0 where arithmetic is the limit
 */
record Work(String name, double flops, double bytes) {
    static Work of(BenchmarkParams params) {
        String benchmark = params.getBenchmark();
        String who = params.getParam("implementation");
        if (benchmark.contains("IndexScoring")) {
            int rows = Integer.parseInt(params.getParam("rows"));
            return new Work("index scores, 64 x 128, " + rows + " rows x 32K, " + params.getParam("dtype") + ", " + who,
                    IndexScoring.flops(rows), 0);
        }
        if (benchmark.contains("SparseAttention")) {
            int rows = Integer.parseInt(params.getParam("rows"));
            String dtype = params.getParam("dtype");
            return new Work("sparse MLA, 128 heads x 576, top 2048, " + rows + " rows, " + dtype + ", " + who,
                    SparseAttention.flops(rows), 0);
        }
        if (benchmark.contains("TopK")) {
            int length = Integer.parseInt(params.getParam("length"));
            return new Work("top 2048 of " + length + ", " + params.getParam("scoreKind") + ", " + who, 0,
                    (double) length * Float.BYTES);
        }
        String[] shape = params.getParam("shape").split("x");
        double elements = Double.parseDouble(shape[0]) * Double.parseDouble(shape[1]);
        int tokens = Integer.parseInt(params.getParam("tokens"));
        String dtype = params.getParam("dtype");
        String name = "linear " + params.getParam("shape") + ", " + tokens + " tokens, " + dtype + ", " + who;
        double bytes = elements * (dtype.equals("BF16") ? 2 : 1);
        return tokens == 1 ? new Work(name, 0, bytes) : new Work(name, 2 * elements * tokens, 0);
    }
}
