package dev.gyre.attention.backend;

/**
 * A device that an implementation can run on.
 *
 * @param id what {@code --device} and {@code --devices} take, for example {@code 0:0}
 * @param name as its driver calls it
 * @param type for example {@code GPU} or {@code CPU}
 * @param memoryBytes its global memory
 * @param backend what drives it, for example {@code OpenCL}
 */
public record Device(String id, String name, String type, long memoryBytes, String backend) {
    /**
     * Whether {@code --device} means this one: by its id, by its number alone where the backend is the first, or by its
     * backend, {@code cuda} or {@code opencl}.
     */
    public boolean is(String wanted) {
        return id.equals(wanted) || id.equals("0:" + wanted) || backend.equalsIgnoreCase(wanted);
    }
}
