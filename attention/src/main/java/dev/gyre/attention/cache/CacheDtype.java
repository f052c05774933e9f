package dev.gyre.attention.cache;

import dev.gyre.attention.EngineException;

import java.util.Arrays;
import java.util.stream.Collectors;

/** How caches store their values: the option {@code --kv-cache-dtype}. */
public enum CacheDtype {
    /** Four bytes a value; exact. */
    F32("f32"),
    /** Two bytes a value, rounded to nearest even. */
    BF16("bf16"),
    /** FP8 E4M3 with scales: the 656-byte latent and 132-byte index key of DeepSeek-V3.2. */
    FP8_E4M3("fp8_e4m3");

    private final String label;

    CacheDtype(String label) {
        this.label = label;
    }

    /** The name on the command line. */
    public String label() {
        return label;
    }

    /** The dtype of that name. */
    public static CacheDtype of(String name) {
        for (CacheDtype dtype : values()) {
            if (dtype.label.equals(name)) {
                return dtype;
            }
        }
        String known = Arrays.stream(values()).map(CacheDtype::label).collect(Collectors.joining(", "));
        throw EngineException.usage("--kv-cache-dtype " + name + " is not known; use one of " + known + ".");
    }
}
