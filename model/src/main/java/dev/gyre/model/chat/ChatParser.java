package dev.gyre.model.chat;

import dev.gyre.model.tokenizer.Tokenizer;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Takes apart what the model generates, while it comes: thinking, text and calls of functions. However the text is cut
 * into pieces, what comes out is the same, but for the cuts in {@link Delta.Reasoning} and {@link Delta.Content}; what
 * is held back is only what may become a marker, and calls until they are whole. The time is linear in the text.
 *
 * <p>In a block of calls there may be any white space between the tags, and the empty line before it may be missing.
 * Where something has no place in it, all the rest, from the beginning of the call that it spoils, is content just as
 * it was generated; with the beginning of the block, if no call came before.
 *
 * <pre>{@code
 * var parser = new ChatParser(ThinkingMode.THINKING, true);
 * parser.push("Hm.</thi");      // [Reasoning[text=Hm.]]
 * parser.push("nk>Hello");      // [Content[text=Hello]]
 * parser.finish();              // []
 * }</pre>
 */
public final class ChatParser {
    /** A piece of an answer. */
    public sealed interface Delta {
        /** More of the thinking. */
        record Reasoning(String text) implements Delta {
        }

        /** More of what is for the user. */
        record Content(String text) implements Delta {
        }

        /**
         * A whole call.
         *
         * @param index how many came before it in this answer
         * @param name the function
         * @param arguments the text of a JSON object, with the parameters in the order in which they came
         */
        record Call(int index, String name, String arguments) implements Delta {
        }
    }

    private enum Phase { START, REASONING, CONTENT, CALLS, REST }

    private final ThinkingMode mode;
    private final boolean tools;
    /** What is held back: from {@link #from} on, once a push is over all of it. */
    private final StringBuilder text = new StringBuilder();
    private int from;
    private Phase phase = Phase.START;
    private CallBlock block;
    private boolean calledInBlock;
    private int calls;

    /**
     * A parser for one answer.
     *
     * @param mode as in the prompt
     * @param tools whether to look for calls; if not, what looks like one is content
     */
    public ChatParser(ThinkingMode mode, boolean tools) {
        this.mode = mode;
        this.tools = tools;
    }

    /** Control tokens that the text of an answer must show for it to be taken apart, where the tokenizer has them. */
    public static Set<Integer> markers(Tokenizer tokenizer, ThinkingMode mode, boolean tools) {
        Set<Integer> ids = new HashSet<>();
        if (mode == ThinkingMode.THINKING) {
            tokenizer.id(ChatTemplate.THINK).ifPresent(ids::add);
            tokenizer.id(ChatTemplate.END_THINK).ifPresent(ids::add);
        }
        if (tools) {
            tokenizer.id(ChatTemplate.DSML).ifPresent(ids::add);
        }
        return ids;
    }

    /** Takes the whole of an answer apart. */
    public static ChatAnswer parse(String text, ThinkingMode mode, boolean tools) {
        var parser = new ChatParser(mode, tools);
        List<Delta> deltas = parser.push(text);
        deltas.addAll(parser.finish());
        var content = new StringBuilder();
        var reasoning = new StringBuilder();
        List<ToolCall> toolCalls = new ArrayList<>();
        for (Delta delta : deltas) {
            switch (delta) {
                case Delta.Content(String more) -> content.append(more);
                case Delta.Reasoning(String more) -> reasoning.append(more);
                case Delta.Call(_, String name, String arguments) ->
                        toolCalls.add(new ToolCall(null, name, arguments));
            }
        }
        return new ChatAnswer(content.toString(), reasoning.toString(), toolCalls);
    }

    /** The next piece of generated text; returns what is certain now. */
    public List<Delta> push(String more) {
        List<Delta> deltas = new ArrayList<>();
        text.append(more);
        while (advance(deltas)) {
            // on to the next phase
        }
        text.delete(0, from);
        if (block != null) {
            block.shift(from);
        }
        from = 0;
        return deltas;
    }

    /** The answer is over; returns what was held back. Nothing can be pushed after it. */
    public List<Delta> finish() {
        List<Delta> deltas = new ArrayList<>();
        boolean thinks = phase == Phase.REASONING || phase == Phase.START && mode == ThinkingMode.THINKING;
        show(deltas, text.length(), thinks);
        text.setLength(0);
        from = 0;
        phase = Phase.REST;
        return deltas;
    }

    /** Whether a phase ended, and what the text now holds is the next one's. */
    private boolean advance(List<Delta> deltas) {
        return switch (phase) {
            case START -> start();
            case REASONING -> reasoning(deltas);
            case CONTENT -> content(deltas);
            case CALLS -> calls(deltas);
            case REST -> show(deltas, text.length(), false);
        };
    }

    /** The prompt ended with a marker already; one that the model repeats is dropped. */
    private boolean start() {
        boolean thinking = mode == ThinkingMode.THINKING;
        String repeated = thinking ? ChatTemplate.THINK : ChatTemplate.END_THINK;
        int common = Markers.common(text, 0, repeated);
        if (common < repeated.length() && common == text.length()) {
            return false;
        }
        from = common == repeated.length() ? common : 0;
        phase = thinking ? Phase.REASONING : contentPhase();
        return true;
    }

    private Phase contentPhase() {
        return tools ? Phase.CONTENT : Phase.REST;
    }

    private boolean reasoning(List<Delta> deltas) {
        int end = text.indexOf(ChatTemplate.END_THINK, from);
        if (end < 0) {
            return show(deltas, Markers.beginning(text, from, ChatTemplate.END_THINK), true);
        }
        show(deltas, end, true);
        from += ChatTemplate.END_THINK.length();
        phase = contentPhase();
        return true;
    }

    private boolean content(List<Delta> deltas) {
        int start = text.indexOf(ChatTemplate.CALLS, from);
        if (start < 0) {
            return show(deltas, withLines(Markers.beginning(text, from, ChatTemplate.CALLS)), false);
        }
        show(deltas, withLines(start), false);
        block = new CallBlock(text, start + ChatTemplate.CALLS.length());
        calledInBlock = false;
        phase = Phase.CALLS;
        return true;
    }

    /** Up to two line ends before a block are the block's. */
    private int withLines(int start) {
        int least = Math.max(from, start - 2);
        int first = start;
        while (first > least && text.charAt(first - 1) == '\n') {
            first--;
        }
        return first;
    }

    private boolean calls(List<Delta> deltas) {
        CallBlock.Found found = block.read();
        while (found == CallBlock.Found.CALL) {
            deltas.add(new Delta.Call(calls++, block.name(), block.arguments()));
            calledInBlock = true;
            found = block.read();
        }
        boolean ended = found == CallBlock.Found.END;
        if (calledInBlock) {
            from = ended ? block.at() : block.tag();
        }
        if (found == CallBlock.Found.NOTHING) {
            return false;
        }
        phase = ended && calledInBlock ? Phase.CONTENT : Phase.REST; // a block without a call is none
        block = null;
        return true;
    }

    /** Delivers the text up to {@code to}; false, for the phase goes on. */
    private boolean show(List<Delta> deltas, int to, boolean thinking) {
        if (to > from) {
            String shown = text.substring(from, to);
            deltas.add(thinking ? new Delta.Reasoning(shown) : new Delta.Content(shown));
            from = to;
        }
        return false;
    }
}
