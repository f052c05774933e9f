package dev.gyre.attention;

import com.sun.management.OperatingSystemMXBean;

import java.lang.management.ManagementFactory;

/** The machine's memory. */
public final class HostMemory {
    private HostMemory() {}

    /** Bytes in the machine; those of the Java heap where the JVM does not say. */
    public static long bytes() {
        return ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean bean
                ? bean.getTotalMemorySize()
                : Runtime.getRuntime().maxMemory();
    }
}
