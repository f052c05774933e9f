package dev.gyre.launcher;

import dev.gyre.attention.EngineException;
import dev.gyre.model.chat.ChatEncoder;
import dev.gyre.model.chat.ChatMessage;
import dev.gyre.model.chat.ChatParser;
import dev.gyre.model.chat.ChatParser.Delta;
import dev.gyre.model.chat.ThinkingMode;
import dev.gyre.model.engine.Engine;
import dev.gyre.model.engine.EngineListener;
import dev.gyre.model.engine.EngineOptions;
import dev.gyre.model.generate.GenerationOptions;
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
import java.util.ArrayList;
import java.util.List;

/**
 * {@code engine chat}: turns in DeepSeek-V3.2's encoding. What was said stays in the prefix cache; a turn computes only
 * what is new.
 */
@Command(
        name = "chat",
        description = "Talks with the model, turn by turn; /clear starts again, /exit or end of input ends.")
final class ChatCommand implements Runnable {
    @Option(names = "--system", paramLabel = "TEXT", description = "what stands before the first turn")
    private String system = "";

    @Option(names = "--thinking", description = "have the model think first; its thoughts go to stderr")
    private boolean thinking;

    @Mixin
    private SamplingFlags sampling;

    @Mixin
    private EngineFlags flags;

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        GenerationOptions options = sampling.options();
        try (Engine engine = flags.create(EngineOptions.defaults().withMaxRunning(1), EngineListener.NONE)) {
            Tokenizer tokenizer = engine.model().tokenizer();
            if (tokenizer.id("<｜User｜>").isEmpty() || tokenizer.id("<｜Assistant｜>").isEmpty()) {
                throw new EngineException(engine.model().where() + " has no tokens <｜User｜> and <｜Assistant｜>"
                        + "; it cannot chat, use engine generate.");
            }
            talk(engine, options);
        }
    }

    private void talk(Engine engine, GenerationOptions options) {
        PrintWriter err = spec.commandLine().getErr();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, Charset.defaultCharset()));
        List<ChatMessage> messages = begin();
        for (String line = ask(in, err); line != null && !line.equals("/exit"); line = ask(in, err)) {
            if (line.equals("/clear")) {
                messages = begin();
            } else if (!line.isBlank()) {
                messages.add(ChatMessage.user(line));
                ThinkingMode mode = thinking ? ThinkingMode.THINKING : ThinkingMode.CHAT;
                int[] prompt = ChatEncoder.encode(messages, mode, false).tokens(engine.model().tokenizer());
                if (prompt.length > engine.mostTokens()) {
                    messages.removeLast();
                    err.println("engine: the conversation fills the context of " + engine.mostTokens()
                            + " tokens; /clear starts again.");
                } else {
                    messages.add(ChatMessage.assistant(answer(engine, prompt, options, mode)));
                }
            }
        }
    }

    private List<ChatMessage> begin() {
        List<ChatMessage> messages = new ArrayList<>();
        if (!system.isEmpty()) {
            messages.add(ChatMessage.system(system));
        }
        return messages;
    }

    /** Prints what the model says, and returns what of it is for the user. */
    private String answer(Engine engine, int[] prompt, GenerationOptions options, ThinkingMode mode) {
        PrintWriter out = spec.commandLine().getOut();
        PrintWriter err = spec.commandLine().getErr();
        ChatParser parser = new ChatParser(mode, false);
        StringBuilder said = new StringBuilder();
        Tokenizer tokenizer = engine.model().tokenizer();
        GenerationOptions withMarkers = options.withShownSpecialTokens(ChatParser.markers(tokenizer, mode, false));
        engine.stream(prompt, withMarkers, piece -> show(parser.push(piece), said, out, err));
        show(parser.finish(), said, out, err);
        if (mode == ThinkingMode.THINKING) {
            err.println();
        }
        out.println();
        return said.toString();
    }

    private static void show(List<Delta> deltas, StringBuilder said, PrintWriter out, PrintWriter err) {
        for (Delta delta : deltas) {
            switch (delta) {
                case Delta.Reasoning(String text) -> {
                    err.print(text);
                    err.flush();
                }
                case Delta.Content(String text) -> {
                    said.append(text);
                    out.print(text);
                    out.flush();
                }
                case Delta.Call call -> throw new IllegalStateException("a call where none was offered: " + call);
            }
        }
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
