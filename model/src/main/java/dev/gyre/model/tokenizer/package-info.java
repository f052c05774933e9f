/**
 * The tokenizer: byte-level BPE read from a Hugging Face {@code tokenizer.json}.
 *
 * <p>{@link dev.gyre.model.tokenizer.Tokenizer} is the way in; {@code TokenizerReader} parses the files; the rest is
 * one class a step, in the order a text meets them: {@code AddedTokens}, {@code Normalization}, {@code PreTokenizer}
 * (with {@code Regexes} and {@code ByteLevel}), {@code Bpe} (with {@code MergeTable} and {@code PieceCache}); and on
 * the way back {@code Vocabulary}, {@code Utf8Decoder} and {@link dev.gyre.model.tokenizer.StreamingDecoder}.
 *
 * <p>It uses Jackson and {@code dev.gyre.attention.EngineException}, and nothing else of Gyre.
 */
package dev.gyre.model.tokenizer;
