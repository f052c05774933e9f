package dev.gyre.model;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.cache.CacheDtype;

import java.util.Locale;

/** How exact an engine is where it has the choice: the option {@code --precision}. */
public enum Precision {
    /** Activations, sums and caches in f32 or better. */
    EXACT(CacheDtype.F32),
    /** Caches in bf16, as DeepSeek's own code keeps them: half the memory and, on long contexts, half the traffic. */
    FAST(CacheDtype.BF16);

    private final CacheDtype cacheDtype;

    Precision(CacheDtype cacheDtype) {
        this.cacheDtype = cacheDtype;
    }

    /** The cache dtype where none is asked for. */
    public CacheDtype cacheDtype() {
        return cacheDtype;
    }

    /** The precision of that name. */
    public static Precision of(String name) {
        for (Precision precision : values()) {
            if (precision.label().equals(name)) {
                return precision;
            }
        }
        throw EngineException.usage("--precision " + name + " is not known; use exact or fast.");
    }

    /** The name on the command line. */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
