package dev.gyre.launcher.server;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.model.generate.Generation;
import dev.gyre.model.generate.Logprobs;
import dev.gyre.model.tokenizer.Tokenizer;

import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;

/** Pieces that the answers of several endpoints have in common. */
final class Answers {
    static final JsonNodeFactory JSON = JsonNodeFactory.instance;

    private Answers() {}

    static String id(String prefix) {
        byte[] bytes = new byte[16];
        ThreadLocalRandom.current().nextBytes(bytes);
        return prefix + HexFormat.of().formatHex(bytes);
    }

    static long now() {
        return System.currentTimeMillis() / 1000;
    }

    static String finish(Generation generation) {
        return generation.finishReason().label();
    }

    /** What stopped the text: a stop string, a token, or nothing. */
    static JsonNode matchedStop(Generation generation) {
        if (generation.stopString() != null) {
            return JSON.textNode(generation.stopString());
        }
        int[] ids = generation.outputIds();
        return generation.finishReason() == Generation.FinishReason.STOP
                ? JSON.numberNode(ids[ids.length - 1])
                : JSON.nullNode();
    }

    /**
     * Counts tokens.
     *
     * @param answers how many answers a prompt has: it is counted once
     */
    static ObjectNode usage(List<Generation> generations, int answers, int reasoningTokens) {
        int prompt = 0;
        int cached = 0;
        int completion = 0;
        for (int i = 0; i < generations.size(); i++) {
            Generation one = generations.get(i);
            if (one != null) {
                completion += one.outputIds().length;
                if (i % answers == 0) {
                    prompt += one.promptTokens();
                    cached += one.cachedTokens();
                }
            }
        }
        ObjectNode usage = JSON.objectNode()
                .put("prompt_tokens", prompt)
                .put("completion_tokens", completion)
                .put("total_tokens", prompt + completion);
        usage.putObject("prompt_tokens_details").put("cached_tokens", cached);
        if (reasoningTokens >= 0) {
            usage.putObject("completion_tokens_details").put("reasoning_tokens", reasoningTokens);
        }
        return usage;
    }

    static ArrayNode ids(int[] ids) {
        ArrayNode array = JSON.arrayNode(ids.length);
        for (int id : ids) {
            array.add(id);
        }
        return array;
    }

    static String text(Tokenizer tokenizer, int id) {
        return tokenizer.decode(new int[] {id}, false);
    }

    /** A token of a chat answer's {@code logprobs.content}. */
    static ObjectNode chatLogprob(Tokenizer tokenizer, Logprobs logprobs) {
        ObjectNode entry = candidate(tokenizer, logprobs.token(), logprobs.logprob());
        ArrayNode top = entry.putArray("top_logprobs");
        logprobs.top().forEach(one -> top.add(candidate(tokenizer, one.token(), one.logprob())));
        return entry;
    }

    private static ObjectNode candidate(Tokenizer tokenizer, int id, double logprob) {
        ObjectNode entry = JSON.objectNode().put("token", text(tokenizer, id)).put("logprob", logprob);
        ArrayNode bytes = entry.putArray("bytes");
        for (byte b : tokenizer.bytes(id)) {
            bytes.add(b & 0xFF);
        }
        return entry;
    }

    /** A fresh {@code logprobs} object of {@code /v1/completions}. */
    static ObjectNode completionLogprobs() {
        ObjectNode logprobs = JSON.objectNode();
        logprobs.putArray("tokens");
        logprobs.putArray("token_logprobs");
        logprobs.putArray("top_logprobs");
        logprobs.putArray("text_offset");
        return logprobs;
    }

    /** Adds a token to it, whose text begins at {@code offset}. */
    static void add(ObjectNode target, Tokenizer tokenizer, Logprobs logprobs, int offset) {
        target.withArray("tokens").add(text(tokenizer, logprobs.token()));
        target.withArray("token_logprobs").add(logprobs.logprob());
        ObjectNode top = target.withArray("top_logprobs").addObject();
        // two tokens may have the same text, as halves of characters do: the likelier one keeps the name
        logprobs.top().forEach(one -> {
            String text = text(tokenizer, one.token());
            if (!top.has(text)) {
                top.put(text, one.logprob());
            }
        });
        target.withArray("text_offset").add(offset);
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
