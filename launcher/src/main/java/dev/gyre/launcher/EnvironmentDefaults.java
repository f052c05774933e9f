package dev.gyre.launcher;

import picocli.CommandLine;

import java.util.Locale;
import java.util.Map;

/**
 * Defaults of options from the environment: {@code --kv-cache-dtype} from {@code GYRE_KV_CACHE_DTYPE}. An empty
 * variable is none. A prompt stands on the command line: of options that exclude each other, a default could take the
 * place of the one that was given.
 */
final class EnvironmentDefaults implements CommandLine.IDefaultValueProvider {
    private final Map<String, String> environment;

    EnvironmentDefaults(Map<String, String> environment) {
        this.environment = environment;
    }

    @Override
    public String defaultValue(CommandLine.Model.ArgSpec argument) {
        if (!(argument instanceof CommandLine.Model.OptionSpec option) || option.group() != null) {
            return null;
        }
        if (option.usageHelp() || option.versionHelp()) {
            return null; // GYRE_VERSION is what a container file calls a version
        }
        String name = option.longestName().replaceFirst("^-+", "").replace('-', '_').toUpperCase(Locale.ROOT);
        String value = environment.getOrDefault("GYRE_" + name, "");
        return value.isEmpty() ? null : value;
    }
}
