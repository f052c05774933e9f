package dev.gyre.model.checkpoint;

/** The element types of safetensors that weights come in. */
public enum DType {
    /** IEEE binary32. */
    F32(4),
    /** IEEE binary16. */
    F16(2),
    /** bfloat16. */
    BF16(2),
    /** FP8 E4M3; comes with a tensor of block scales. */
    F8_E4M3(1);

    private final int bytes;

    DType(int bytes) {
        this.bytes = bytes;
    }

    /** Bytes of an element. */
    public int bytes() {
        return bytes;
    }
}
