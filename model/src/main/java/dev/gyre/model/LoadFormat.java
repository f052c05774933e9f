package dev.gyre.model;

import dev.gyre.attention.EngineException;

import java.util.Locale;

/** Where a model's weights come from: the option {@code --load-format}. */
public enum LoadFormat {
    /** From the files that are in the model's folder. */
    AUTO,
    /** Random, the same each time, in the formats that config.json calls for: for measuring without the files. */
    DUMMY;

    /** The format of that name. */
    public static LoadFormat of(String name) {
        for (LoadFormat format : values()) {
            if (format.label().equals(name)) {
                return format;
            }
        }
        throw EngineException.usage("--load-format " + name + " is not known; use auto or dummy.");
    }

    /** The name on the command line. */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
