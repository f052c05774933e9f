package dev.gyre.benchmarks;

/** Placeholder. */
public final class CpuReport {
    private CpuReport() {}

    /** Runs JMH. */
    public static void main(String[] args) throws Exception {
        org.openjdk.jmh.Main.main(args);
    }
}
