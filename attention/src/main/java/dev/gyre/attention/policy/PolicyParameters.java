package dev.gyre.attention.policy;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.cache.PageTable;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;

/** The parameters of a policy: those of its registration, with the values that a user gave. */
final class PolicyParameters {
    private final String name;
    private final String template;
    private final Map<String, String> values;

    private PolicyParameters(String name, String template, Map<String, String> values) {
        this.name = name;
        this.template = template;
        this.values = values;
    }

    /** The name in {@code name:key=value,key=value}. */
    static String name(String spec) {
        int colon = spec.indexOf(':');
        return colon < 0 ? spec : spec.substring(0, colon);
    }

    /**
     * Lays a user's values over the defaults.
     *
     * @param template all parameters with their defaults, as in {@link SelectionPolicies}
     * @param spec what a user wrote
     */
    static PolicyParameters of(String template, String spec) {
        PolicyParameters parameters = new PolicyParameters(name(template), template, parse(template));
        parse(spec).forEach((key, value) -> {
            if (parameters.values.replace(key, value) == null) {
                throw parameters.wrong(spec, "has no parameter '" + key + "'");
            }
            if (!value.matches("\\d{1,9}")) {
                throw parameters.wrong(spec, "takes whole numbers, and " + key + " is '" + value + "'");
            }
        });
        return parameters;
    }

    private static Map<String, String> parse(String spec) {
        Map<String, String> values = new LinkedHashMap<>();
        if (spec.contains(":")) {
            for (String pair : spec.substring(spec.indexOf(':') + 1).split(",", -1)) {
                int equals = pair.indexOf('=');
                String key = equals < 0 ? pair : pair.substring(0, equals);
                if (values.put(key, equals < 0 ? "" : pair.substring(equals + 1)) != null) {
                    throw EngineException.usage("the selection policy " + spec + " gives " + key + " twice.");
                }
            }
        }
        return values;
    }

    /** A whole number of at least {@code least}. */
    int count(String key, int least) {
        int value = Integer.parseInt(values.get(key));
        if (value < least) {
            throw wrong(spec(), "needs " + key + " to be at least " + least);
        }
        return value;
    }

    /** A number of tokens that fill whole pages. */
    int wholePages(String key) {
        int tokens = count(key, PageTable.PAGE);
        if (tokens % PageTable.PAGE != 0) {
            throw wrong(spec(), "needs " + key + " to be a multiple of the " + PageTable.PAGE + " of a page");
        }
        return tokens;
    }

    /** Name and parameters, all of them. */
    String spec() {
        return values.isEmpty() ? name : name + ":" + values.entrySet().stream()
                .map(entry -> entry.getKey() + "=" + entry.getValue())
                .collect(Collectors.joining(","));
    }

    private EngineException wrong(String spec, String what) {
        return EngineException.usage("the selection policy " + spec + " cannot be: " + name + " " + what
                + "; write it as " + template + ".");
    }
}
