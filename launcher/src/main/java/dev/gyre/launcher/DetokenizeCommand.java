package dev.gyre.launcher;

import dev.gyre.model.Model;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

import java.util.Map;

/** {@code engine detokenize}. */
@Command(name = "detokenize", description = "Turns token ids into text.")
final class DetokenizeCommand implements Runnable {
    @Parameters(paramLabel = "IDS", arity = "0..1", description = "ids such as 44,75,1046 (default: stdin)")
    private String ids;

    @Option(names = "--skip-special-tokens", description = "leave out tokens such as the end of text")
    private boolean skipSpecial;

    @Mixin
    private JsonFlag json;

    @Mixin
    private ModelFlag model;

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        String list = ids != null ? ids : TextFiles.stdin();
        int[] tokens = list.isBlank() ? new int[0] : Ids.parse(list, "IDS");
        String text = Model.tokenizer(model.files()).decode(tokens, skipSpecial);
        if (json.wanted()) {
            JsonFlag.print(spec.commandLine().getOut(), Map.of("text", text));
        } else {
            spec.commandLine().getOut().println(text);
        }
    }
}
