package dev.gyre.launcher;

import dev.gyre.model.Model;
import dev.gyre.model.generate.Perplexity;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** {@code engine perplexity}. */
@Command(
        name = "perplexity",
        description = "Measures how well the model predicts a text: the text with its BOS, cut into windows that are run "
                + "each on its own, the first token of each not scored.")
final class PerplexityCommand implements Runnable {
    @Option(names = "--text-file", paramLabel = "FILE", required = true, description = "a UTF-8 file")
    private Path file;

    @Option(names = "--context", paramLabel = "N", description = "tokens of a window (default: the context length)")
    private Integer context;

    @Mixin
    private JsonFlag json;

    @Mixin
    private EngineFlags flags;

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        PrintWriter out = spec.commandLine().getOut();
        try (Model model = flags.open()) {
            int[] tokens = model.tokenizer().encodeWithBos(TextFiles.read(file, "--text-file"));
            int window = context != null ? context : model.contextLength();
            Perplexity result;
            try (Progress progress = new Progress(spec.commandLine().getErr(), tokens.length, "tokens")) {
                result = Perplexity.measure(model, tokens, window, progress::reach);
            }
            if (json.wanted()) {
                Map<String, Object> answer = new LinkedHashMap<>();
                answer.put("tokens", result.tokens());
                answer.put("nll", result.nll());
                answer.put("perplexity", result.perplexity());
                JsonFlag.print(out, answer);
            } else {
                out.printf(
                        "perplexity %.4f over %d tokens (windows of %d)%n",
                        result.perplexity(), result.tokens(), window);
            }
        }
    }
}
