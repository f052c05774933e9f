package dev.gyre.tornado.graph;

/** What TornadoVM 5.2 must be told before it starts, where its user has not said otherwise. */
public final class Settings {
    private Settings() {}

    /** To be called before anything of TornadoVM's runtime is touched: it reads its settings once. */
    public static void apply() {
        // the graph of a whole decoder has more than the 4096 bytes of bytecodes that there is room for otherwise
        setDefault("tornado.tvm.maxbytecodesize", "1048576");
        // every run of a graph clears a list of this many ints for every array and kernel of it, which nothing uses as long
        // as kernels run one after the other: 32768 of them cost 13 us a kernel, more than most kernels take
        setDefault("tornado.max.events", "64");
        // what a kernel reads and writes passes through a static field of TornadoSketcher: of two kernels that are looked at
        // at once, one can get the other's
        setDefault("tornado.sketcher.threads", "1");
    }

    /** How much memory of a device TornadoVM may take, in its words: 4 GB where its user has not said otherwise. */
    static String deviceMemory() {
        return System.getProperty("tornado.device.memory", "4GB");
    }

    private static void setDefault(String property, String value) {
        if (System.getProperty(property) == null) {
            System.setProperty(property, value);
        }
    }
}
