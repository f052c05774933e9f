package dev.gyre.model.tokenizer;

import dev.gyre.attention.EngineException;

import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Text to token ids and back: the byte-level BPE that a Hugging Face {@code tokenizer.json} describes, with the same
 * ids. Immutable, and safe for any number of threads at once.
 *
 * <p>{@code post_processor}, {@code truncation} and {@code padding} are deliberately not followed: what is put before a
 * prompt is the caller's to say, with {@link #encode} or {@link #encodeWithBos}.
 *
 * <pre>{@code
 * Tokenizer tokenizer = Tokenizer.read(Files.readAllBytes(dir.resolve("tokenizer.json")),
 *         Files.readAllBytes(dir.resolve("tokenizer_config.json")), dir.toString());
 * int[] ids = tokenizer.encodeWithBos("Hello, world!");
 * String text = tokenizer.decode(ids, true);
 * }</pre>
 */
public final class Tokenizer {
    private final Vocabulary vocabulary;
    private final AddedTokens rawTokens;
    private final Normalization normalization;
    private final AddedTokens normalizedTokens;
    private final PreTokenizer preTokenizer;
    private final Bpe bpe;
    private final SpecialIds specialIds;

    /** What {@code tokenizer_config.json} says. */
    record SpecialIds(OptionalInt bos, OptionalInt eos, boolean addBos) {
    }

    /** {@code rawTokens} are sought in the text as given, {@code normalizedTokens} in the normalized text. */
    Tokenizer(Vocabulary vocabulary, AddedTokens rawTokens, Normalization normalization, AddedTokens normalizedTokens,
            PreTokenizer preTokenizer, Bpe bpe, SpecialIds specialIds) {
        this.vocabulary = vocabulary;
        this.rawTokens = rawTokens;
        this.normalization = normalization;
        this.normalizedTokens = normalizedTokens;
        this.preTokenizer = preTokenizer;
        this.bpe = bpe;
        this.specialIds = specialIds;
    }

    /**
     * Reads a tokenizer.
     *
     * @param tokenizerJson the bytes of {@code tokenizer.json}
     * @param tokenizerConfigJson the bytes of {@code tokenizer_config.json}, or null when there is none
     * @param where the file or folder they came from, for error messages
     * @throws EngineException when something is malformed, or asks for what Gyre does not do
     */
    public static Tokenizer read(byte[] tokenizerJson, byte[] tokenizerConfigJson, String where) {
        return TokenizerReader.read(tokenizerJson, tokenizerConfigJson, where);
    }

    /** The highest id plus one; ids below it may be without a token. */
    public int vocabularySize() {
        return vocabulary.size();
    }

    /**
     * The ids of a text. Added tokens written out in it, special ones too, become their ids; no BOS is put before it.
     * Half a surrogate pair counts as U+FFFD. The time is about linear in the length.
     *
     * @throws EngineException when the vocabulary lacks a token for a byte of the text
     */
    public int[] encode(String text) {
        var ids = new IntList();
        encode(text, ids);
        return ids.toArray();
    }

    /**
     * As {@link #encode}, after the BOS when {@code tokenizer_config.json} has {@code "add_bos_token": true}; always
     * put there then, as Hugging Face does, even before a text that itself begins with it.
     */
    public int[] encodeWithBos(String text) {
        var ids = new IntList();
        if (specialIds.addBos()) {
            ids.add(specialIds.bos().orElseThrow());
        }
        encode(text, ids);
        return ids.toArray();
    }

    /**
     * The ids of a text in which added tokens are ordinary characters: what a stranger wrote cannot pass for them.
     *
     * @throws EngineException when the vocabulary lacks a token for a byte of the text
     */
    public int[] encodeOrdinary(String text) {
        var ids = new IntList();
        String normal = normalization.apply(ByteLevel.wellFormed(text));
        preTokenizer.into(new Pieces(ids)).accept(normal, 0, normal.length());
        return ids.toArray();
    }

    private void encode(String text, IntList ids) {
        var pieces = new Pieces(ids);
        PreTokenizer.Sink preTokenized = preTokenizer.into(pieces);
        rawTokens.scan(ByteLevel.wellFormed(text), ids, (raw, from, to) ->
                normalizedTokens.scan(normalization.apply(raw.substring(from, to)), ids, preTokenized));
    }

    /** The end of the row: a piece's UTF-8 bytes to the BPE, by way of one buffer. */
    private final class Pieces implements PreTokenizer.Sink {
        private static final int LONGEST = 500_000_000;

        private final IntList ids;
        private byte[] buffer = new byte[256];

        Pieces(IntList ids) {
            this.ids = ids;
        }

        @Override
        public void accept(String text, int from, int to) {
            if (to - from > LONGEST) {
                throw new EngineException("A stretch of " + (to - from) + " characters of the text has no place to cut "
                        + "it and the limit is " + LONGEST + "; give a shorter text.");
            }
            if (buffer.length < 3 * (to - from)) {
                buffer = new byte[3 * (to - from)];
            }
            bpe.encode(buffer, ByteLevel.utf8(text, from, to, buffer), ids);
        }
    }

    /** The id of {@code bos_token} in {@code tokenizer_config.json}, if that names a token. */
    public OptionalInt bosId() {
        return specialIds.bos();
    }

    /** The id of {@code eos_token} in {@code tokenizer_config.json}, if that names a token. */
    public OptionalInt eosId() {
        return specialIds.eos();
    }

    /** The id of an added token by its text, or of a vocabulary entry by its byte-level spelling. */
    public OptionalInt id(String token) {
        return vocabulary.id(token);
    }

    /**
     * The bytes that a token stands for; of most, but not all, they are UTF-8 by themselves.
     *
     * @throws EngineException when no token has this id
     */
    public byte[] bytes(int id) {
        return vocabulary.bytes(id).clone();
    }

    /** Whether this is an added token marked special: one that {@code skipSpecialTokens} leaves out. */
    public boolean isSpecial(int id) {
        return vocabulary.isSpecial(id);
    }

    /**
     * The text of some ids. Bytes that are not UTF-8 become U+FFFD, one for each maximal invalid run.
     *
     * @throws EngineException when no token has one of the ids
     */
    public String decode(int[] ids, boolean skipSpecialTokens) {
        var decoder = new Utf8Decoder();
        for (int id : ids) {
            byte[] bytes = vocabulary.bytes(id);
            if (!skipSpecialTokens || !vocabulary.isSpecial(id)) {
                decoder.write(bytes);
            }
        }
        return decoder.finish();
    }

    /** A decoder for ids that come one at a time. */
    public StreamingDecoder streamingDecoder(boolean skipSpecialTokens) {
        return new StreamingDecoder(vocabulary, skipSpecialTokens, Set.of());
    }

    /** A decoder for ids that come one at a time, which shows these special tokens and no others. */
    public StreamingDecoder streamingDecoder(Set<Integer> shownSpecialTokens) {
        return new StreamingDecoder(vocabulary, true, shownSpecialTokens);
    }

    /** The ids of all special tokens. */
    public Set<Integer> specialIds() {
        return IntStream.range(0, vocabulary.size()).filter(vocabulary::isSpecial).boxed().collect(Collectors.toSet());
    }
}
