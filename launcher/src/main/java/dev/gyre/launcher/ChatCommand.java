package dev.gyre.launcher;

import dev.gyre.attention.EngineException;
import dev.gyre.model.Model;
import dev.gyre.model.generate.Generation;
import dev.gyre.model.generate.GenerationOptions;
import dev.gyre.model.generate.Generator;
import dev.gyre.model.generate.ModelRunner;
import dev.gyre.model.generate.Sequence;
import dev.gyre.model.tokenizer.Tokenizer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.nio.charset.Charset;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * {@code engine chat}: turns in DeepSeek's plain format, {@code <｜User｜>…<｜Assistant｜>…<｜end▁of▁sentence｜>}. What was
 * said stays in the cache; a turn runs only what is new.
 */
@Command(
        name = "chat",
        description = "Talks with the model, turn by turn; /clear starts again, /exit or end of input ends.")
final class ChatCommand implements Runnable {
    private static final String USER = "<｜User｜>";
    private static final String ASSISTANT = "<｜Assistant｜>";

    @Option(names = "--system", paramLabel = "TEXT", description = "what stands before the first turn")
    private String system = "";

    @Mixin
    private SamplingFlags sampling;

    @Mixin
    private EngineFlags flags;

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        GenerationOptions options = sampling.options();
        try (Model model = flags.open(); ModelRunner runner = model.runner(1, model.contextLength())) {
            if (model.tokenizer().id(USER).isEmpty() || model.tokenizer().id(ASSISTANT).isEmpty()) {
                throw new EngineException(model.where() + " has no tokens " + USER + " and " + ASSISTANT
                        + "; it cannot chat, use engine generate.");
            }
            talk(model, runner, options);
        }
    }

    private void talk(Model model, ModelRunner runner, GenerationOptions options) {
        PrintWriter out = spec.commandLine().getOut();
        PrintWriter err = spec.commandLine().getErr();
        Tokenizer tokenizer = model.tokenizer();
        Generator generator = new Generator(model, runner);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, Charset.defaultCharset()));
        Sequence sequence = runner.start();
        int[] pending = tokenizer.encodeWithBos(system);
        for (String line = ask(in, err); line != null && !line.equals("/exit"); line = ask(in, err)) {
            if (line.equals("/clear")) {
                runner.end(sequence);
                sequence = runner.start();
                pending = tokenizer.encodeWithBos(system);
            } else if (!line.isBlank()) {
                int[] turn = concat(pending, tokenizer.encode(USER + line + ASSISTANT));
                if (sequence.length() + turn.length >= model.contextLength()) {
                    err.println("engine: the conversation fills the context of " + model.contextLength()
                            + " tokens; /clear starts again.");
                } else {
                    Generation answer = generator.generate(sequence, turn, options, piece -> {
                        out.print(piece);
                        out.flush();
                    });
                    out.println();
                    pending = unsaid(model, answer);
                }
            }
        }
    }

    /** The last token was generated and not run; an answer that was cut short still gets its end. */
    private static int[] unsaid(Model model, Generation answer) {
        int[] ids = answer.outputIds();
        int last = ids[ids.length - 1];
        if (model.defaults().eos().contains(last) || model.defaults().eos().isEmpty()) {
            return new int[] {last};
        }
        return new int[] {last, model.defaults().eos().iterator().next()};
    }

    private static int[] concat(int[] first, int[] second) {
        return IntStream.concat(Arrays.stream(first), Arrays.stream(second)).toArray();
    }

    private static String ask(BufferedReader in, PrintWriter err) {
        err.print("> ");
        err.flush();
        try {
            return in.readLine();
        } catch (IOException e) {
            throw new EngineException("cannot read stdin: " + e.getMessage() + ".", e);
        }
    }
}
