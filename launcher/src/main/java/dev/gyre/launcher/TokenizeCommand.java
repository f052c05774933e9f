package dev.gyre.launcher;

import dev.gyre.model.Model;
import dev.gyre.model.tokenizer.Tokenizer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

import java.util.Map;

/** {@code engine tokenize}. */
@Command(name = "tokenize", description = "Turns text into token ids.")
final class TokenizeCommand implements Runnable {
    @Parameters(paramLabel = "TEXT", arity = "0..1", description = "the text (default: stdin)")
    private String text;

    @Option(names = "--no-bos", description = "leave out the BOS that tokenizer_config.json asks for")
    private boolean noBos;

    @Mixin
    private JsonFlag json;

    @Mixin
    private ModelFlag model;

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        Tokenizer tokenizer = Model.tokenizer(model.files());
        String input = text != null ? text : TextFiles.stdin();
        int[] ids = noBos ? tokenizer.encode(input) : tokenizer.encodeWithBos(input);
        if (json.wanted()) {
            JsonFlag.print(spec.commandLine().getOut(), Map.of("ids", ids));
        } else {
            spec.commandLine().getOut().println(Ids.show(ids));
        }
    }
}
