package dev.gyre.launcher;

import dev.gyre.model.Model;
import dev.gyre.model.generate.Generation;
import dev.gyre.model.generate.GenerationOptions;
import dev.gyre.model.generate.Generator;
import dev.gyre.model.generate.ModelRunner;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

import java.io.PrintWriter;
import java.util.LinkedHashMap;
import java.util.Map;

/** {@code engine generate}. */
@Command(name = "generate", description = "Continues a prompt; the text streams to stdout.")
final class GenerateCommand implements Runnable {
    @Mixin
    private PromptFlags prompt;

    @Mixin
    private SamplingFlags sampling;

    @Mixin
    private JsonFlag json;

    @Mixin
    private EngineFlags flags;

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        PrintWriter out = spec.commandLine().getOut();
        PrintWriter err = spec.commandLine().getErr();
        GenerationOptions options = sampling.options();
        try (Model model = flags.open()) {
            int[] tokens = prompt.tokens(model);
            int room = (int) Math.min(model.contextLength(), (long) tokens.length + options.maxNewTokens());
            try (ModelRunner runner = model.runner(1, room)) {
                Generation result = new Generator(model, runner).generate(runner.start(), tokens, options, piece -> {
                    if (!json.wanted()) {
                        out.print(piece);
                        out.flush();
                    }
                });
                if (json.wanted()) {
                    JsonFlag.print(out, answer(result, HotLatents.fields(model)));
                } else {
                    if (!model.hasTokenizer()) {
                        out.print(Ids.show(result.outputIds()));
                    }
                    out.println();
                    err.printf("[%d prompt tokens at %.0f/s, %d new at %.0f/s, %s]%n", result.promptTokens(),
                            result.prefillRate(), result.outputIds().length, result.decodeRate(),
                            result.finishReason().label());
                    HotLatents.lines(model).forEach(err::println);
                }
            }
        }
    }

    /** @param hot what hot latents did; empty without them */
    private static Map<String, Object> answer(Generation result, Map<String, Object> hot) {
        Map<String, Object> timing = new LinkedHashMap<>();
        timing.put("prefill_seconds", result.prefillSeconds());
        timing.put("decode_seconds", result.decodeSeconds());
        timing.put("prefill_tokens_per_second", result.prefillRate());
        timing.put("decode_tokens_per_second", result.decodeRate());
        Map<String, Object> usage = new LinkedHashMap<>();
        usage.put("prompt_tokens", result.promptTokens());
        usage.put("completion_tokens", result.outputIds().length);
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("output_ids", result.outputIds());
        answer.put("text", result.text());
        answer.put("finish_reason", result.finishReason().label());
        answer.put("usage", usage);
        answer.put("timing", timing);
        if (!hot.isEmpty()) {
            answer.put("hisparse", hot);
        }
        return answer;
    }
}
