package dev.gyre.launcher;

import picocli.CommandLine;

import java.util.Locale;
import java.util.Map;

/** Defaults of options from the environment: {@code --kv-cache-dtype} from {@code GYRE_KV_CACHE_DTYPE}. */
final class EnvironmentDefaults implements CommandLine.IDefaultValueProvider {
    private final Map<String, String> environment;

    EnvironmentDefaults(Map<String, String> environment) {
        this.environment = environment;
    }

    @Override
    public String defaultValue(CommandLine.Model.ArgSpec argument) {
        if (argument instanceof CommandLine.Model.OptionSpec option) {
            String name = option.longestName();
            return environment.get("GYRE_" + name.replaceFirst("^-+", "").replace('-', '_').toUpperCase(Locale.ROOT));
        }
        return null;
    }
}
