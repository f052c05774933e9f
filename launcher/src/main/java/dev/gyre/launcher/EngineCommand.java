package dev.gyre.launcher;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Properties;

/** {@code engine}: only its subcommands do something. */
@Command(
        name = "engine",
        description = "Runs DeepSeek-V3.2 models (MLA and DeepSeek Sparse Attention) in Java.",
        mixinStandardHelpOptions = true,
        scope = ScopeType.INHERIT,
        versionProvider = EngineCommand.Version.class,
        synopsisSubcommandLabel = "COMMAND",
        sortOptions = false,
        footer = {
            "",
            "Options may also stand in a file, given as @FILE, and in the environment:",
            "GYRE_THREADS=2 is --threads 2. Exit code: 0 success, 1 failure, 2 usage."
        },
        subcommands = {
            GenerateCommand.class,
            ChatCommand.class,
            ServeCommand.class,
            LogitsCommand.class,
            InspectCommand.class,
            TokenizeCommand.class,
            DetokenizeCommand.class,
            PerplexityCommand.class,
            BenchCommand.class,
            ExperimentCommand.class,
            InfoCommand.class,
            DevicesCommand.class,
        })
final class EngineCommand implements Runnable {
    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "which command? One of "
                + String.join(", ", spec.subcommands().keySet()) + ".");
    }

    /** The version that Maven built. */
    static final class Version implements picocli.CommandLine.IVersionProvider {
        @Override
        public String[] getVersion() {
            return new String[] {
                "gyre " + number() + " on " + System.getProperty("java.vm.name") + " " + Runtime.version()
            };
        }

        /** The number alone. */
        static String number() {
            Properties properties = new Properties();
            try (InputStream in = EngineCommand.class.getResourceAsStream("/gyre.properties")) {
                properties.load(in);
            } catch (IOException e) {
                throw new UncheckedIOException(e); // the program is damaged
            }
            return properties.getProperty("version");
        }
    }
}
