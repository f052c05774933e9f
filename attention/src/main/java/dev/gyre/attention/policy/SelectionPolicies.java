package dev.gyre.attention.policy;

import dev.gyre.attention.EngineException;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The selection policies by name, as {@code --selection-policy} takes them. */
public final class SelectionPolicies {
    /** What DeepSeek-V3.2 does. */
    public static final String INDEXER = "indexer";
    /** Attention to everything. */
    public static final String DENSE = "dense";

    private static final Map<String, Factory> FACTORIES = new LinkedHashMap<>();

    // a policy is registered with all its parameters and their defaults
    static {
        FACTORIES.put(INDEXER, IndexerPolicy::indexer);
        FACTORIES.put(DENSE, DensePolicy::new);
        FACTORIES.put("shared:freq=4,offset=" + IndexSharing.OFFSET, IndexerPolicy::shared);
        FACTORIES.put("hisa:block=128,blocks=64", HisaPolicy::new);
        FACTORIES.put("misa:heads=8,block=128", MisaPolicy::new);
        FACTORIES.put("oracle", OraclePolicy::new);
        FACTORIES.put("recent:sink=4", RecentPolicy::new);
        FACTORIES.put("random:seed=1", RandomPolicy::new);
    }

    private SelectionPolicies() {}

    /** Makes a policy. */
    private interface Factory {
        SelectionPolicy create(PolicyParameters parameters, PolicyContext context);
    }

    /**
     * The policy that a user names.
     *
     * @param spec a name and, behind a colon, parameters that differ from their defaults: {@code random:seed=7}
     */
    public static SelectionPolicy create(String spec, PolicyContext context) {
        String known = template(spec);
        return FACTORIES.get(known).create(PolicyParameters.of(known, spec), context);
    }

    /** The same policy with all its parameters: {@code random:seed=1} for {@code random}. */
    public static String complete(String spec) {
        return PolicyParameters.of(template(spec), spec).spec();
    }

    /** What a policy was registered as. */
    private static String template(String spec) {
        String name = PolicyParameters.name(spec);
        return FACTORIES.keySet().stream()
                .filter(known -> PolicyParameters.name(known).equals(name))
                .findFirst()
                .orElseThrow(() -> EngineException.usage("the selection policy " + spec
                        + " is not known; use one of " + String.join(", ", known()) + "."));
    }

    /** All policies with their parameters and the defaults of these. */
    public static List<String> known() {
        return List.copyOf(FACTORIES.keySet());
    }
}
