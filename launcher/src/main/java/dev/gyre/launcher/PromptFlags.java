package dev.gyre.launcher;

import dev.gyre.model.Model;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Option;

import java.nio.file.Path;

/** The prompt: text, a file, or tokens. */
final class PromptFlags {
    @ArgGroup(exclusive = true, multiplicity = "1")
    private Source source;

    /** One of the three. */
    static final class Source {
        @Option(names = "--prompt", paramLabel = "TEXT", description = "the prompt")
        private String text;

        @Option(names = "--prompt-file", paramLabel = "FILE", description = "a UTF-8 file with the prompt")
        private Path file;

        @Option(
                names = "--tokens",
                paramLabel = "IDS",
                description = "the prompt as token ids, used as they are: 0,5,9")
        private String tokens;
    }

    /** The prompt's tokens; text gets the BOS that the tokenizer asks for. */
    int[] tokens(Model model) {
        if (source.tokens != null) {
            return Ids.parse(source.tokens, "--tokens");
        }
        String text = source.text != null ? source.text : TextFiles.read(source.file, "--prompt-file");
        return model.tokenizer().encodeWithBos(text);
    }
}
