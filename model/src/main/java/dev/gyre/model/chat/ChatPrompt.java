package dev.gyre.model.chat;

import dev.gyre.model.tokenizer.Tokenizer;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * A prompt in pieces: the control tokens that the format itself writes, and the text between them. A tokenizer that
 * takes each piece for what it is cannot be led astray by a user who spells out a control token.
 *
 * @param parts in order; no two plain ones stand side by side, and none is empty
 */
public record ChatPrompt(List<Part> parts) {
    /**
     * A stretch of a prompt.
     *
     * @param text its characters
     * @param special whether this is one control token; if not, nothing in the text is one, whatever it spells
     */
    public record Part(String text, boolean special) {
    }

    /** Copies the list. */
    public ChatPrompt {
        parts = List.copyOf(parts);
    }

    /** The parts joined. */
    public String text() {
        return parts.stream().map(Part::text).collect(Collectors.joining());
    }

    /** The prompt's tokens. A control token that the tokenizer does not know is ordinary text to it. */
    public int[] tokens(Tokenizer tokenizer) {
        IntStream.Builder ids = IntStream.builder();
        StringBuilder plain = new StringBuilder();
        for (Part part : parts) {
            OptionalInt id = part.special() ? tokenizer.id(part.text()) : OptionalInt.empty();
            if (id.isPresent()) {
                Arrays.stream(tokenizer.encodeOrdinary(plain.toString())).forEach(ids);
                plain.setLength(0);
                ids.add(id.getAsInt());
            } else {
                plain.append(part.text());
            }
        }
        Arrays.stream(tokenizer.encodeOrdinary(plain.toString())).forEach(ids);
        return ids.build().toArray();
    }

    /** Puts a prompt together. */
    static final class Builder {
        private final List<Part> parts = new ArrayList<>();
        private final StringBuilder plain = new StringBuilder();

        /** Text from outside: plain, whatever it spells. */
        Builder text(String text) {
            plain.append(text);
            return this;
        }

        /** A piece of the format: what it spells of control tokens is meant as such. Never for text from outside. */
        Builder template(String template) {
            Matcher token = ChatTemplate.CONTROL_TOKEN.matcher(template);
            int from = 0;
            while (token.find()) {
                plain.append(template, from, token.start());
                flush();
                parts.add(new Part(token.group(), true));
                from = token.end();
            }
            plain.append(template, from, template.length());
            return this;
        }

        ChatPrompt build() {
            flush();
            return new ChatPrompt(parts);
        }

        private void flush() {
            if (!plain.isEmpty()) {
                parts.add(new Part(plain.toString(), false));
                plain.setLength(0);
            }
        }
    }
}
