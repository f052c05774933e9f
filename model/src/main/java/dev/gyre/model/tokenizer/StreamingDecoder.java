package dev.gyre.model.tokenizer;

import java.util.Set;

/**
 * Text from token ids as they come. A character whose bytes are spread over several tokens is held back until its
 * last byte is there. All {@link #push} results and then {@link #finish}, joined, equal
 * {@link Tokenizer#decode(int[], boolean)} of all the ids. One thread at a time.
 *
 * <pre>{@code
 * StreamingDecoder decoder = tokenizer.streamingDecoder(true);
 * for (int id : ids) {
 *     out.print(decoder.push(id));
 * }
 * out.print(decoder.finish());
 * }</pre>
 */
public final class StreamingDecoder {
    private final Vocabulary vocabulary;
    private final boolean skipSpecialTokens;
    private final Set<Integer> shown;
    private final Utf8Decoder decoder = new Utf8Decoder();

    /** @param shown special tokens that are not skipped */
    StreamingDecoder(Vocabulary vocabulary, boolean skipSpecialTokens, Set<Integer> shown) {
        this.vocabulary = vocabulary;
        this.skipSpecialTokens = skipSpecialTokens;
        this.shown = shown;
    }

    /**
     * The text that is certain once {@code id} has been added, often empty.
     *
     * @throws dev.gyre.attention.EngineException when no token has this id
     */
    public String push(int id) {
        byte[] bytes = vocabulary.bytes(id);
        if (!skipSpecialTokens || !vocabulary.isSpecial(id) || shown.contains(id)) {
            decoder.write(bytes);
        }
        return decoder.take();
    }

    /** What was held back: U+FFFD for an unfinished character, otherwise nothing. The decoder may then be used anew. */
    public String finish() {
        return decoder.finish();
    }
}
