package dev.gyre.launcher;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What TornadoVM may take of a device's memory: the property {@code tornado.device.memory}, as TornadoVM reads it. */
final class DeviceLimit {
    /** TornadoVM 5.2's own, where nothing else is said. */
    private static final long DEFAULT = 4L << 30;
    private static final Pattern SIZE = Pattern.compile("(\\d{1,15})(?:([KMGT])B)?");

    private DeviceLimit() {}

    /** Bytes by the property's value; null, and what is no size, is the default. */
    static long bytes(String value) {
        Matcher size = SIZE.matcher(value == null ? "" : value);
        if (!size.matches()) {
            return DEFAULT;
        }
        int shift = size.group(2) == null ? 0 : 10 * (1 + "KMGT".indexOf(size.group(2)));
        return Long.parseLong(size.group(1)) << shift;
    }
}
