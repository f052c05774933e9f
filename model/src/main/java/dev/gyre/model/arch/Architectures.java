package dev.gyre.model.arch;

import dev.gyre.attention.EngineException;
import dev.gyre.model.config.Family;
import dev.gyre.model.layers.Decoder;

import java.util.Map;
import java.util.TreeMap;

/** The architectures that the engine knows. */
public final class Architectures {
    private static final Map<String, Architecture> KNOWN = new TreeMap<>();

    static {
        register(new Architecture("DeepseekV3ForCausalLM", Family.DEEPSEEK_V3, Decoder::new));
        register(new Architecture("DeepseekV32ForCausalLM", Family.DEEPSEEK_V32, Decoder::new));
        register(new Architecture("GlmMoeDsaForCausalLM", Family.GLM_MOE_DSA, Decoder::new)); // GLM-5
    }

    private Architectures() {}

    /** Adds an architecture, or replaces the one of that name. */
    public static synchronized void register(Architecture architecture) {
        KNOWN.put(architecture.name(), architecture);
    }

    /** The architecture of that name. */
    public static synchronized Architecture of(String name) {
        Architecture architecture = KNOWN.get(name);
        if (architecture == null) {
            String shown = name.length() <= 80 ? name : name.substring(0, 77) + "...";
            throw new EngineException("config.json: the architecture " + shown + " is not known; known: "
                    + String.join(", ", KNOWN.keySet()) + ".");
        }
        return architecture;
    }
}
