package dev.gyre.model.chat;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Reads the inside of one {@code function_calls} block out of a text that is still growing. It never goes back: each
 * step waits until what it looks for is there whole, and remembers how far it has looked.
 */
final class CallBlock {
    /** What the text so far holds. */
    enum Found {
        /** Nothing new: the text ends in the middle of something. */
        NOTHING,
        /** A call: see {@link #name} and {@link #arguments}. */
        CALL,
        /** The end of the block. */
        END,
        /** Something that has no place here. */
        MALFORMED
    }

    /** What is due at {@link #at}. */
    private enum Step { CALL_OR_END, CALL_NAME, END_OF_CALL_TAG, PARAMETER_OR_END, PARAMETER_NAME, TYPE, VALUE }

    private static final int NOT_YET = -1;
    private static final int NEITHER = -2;

    private final StringBuilder text;
    private int at;
    private int tag;
    /** What the present step looks for does not begin before here. */
    private int searched;
    private Step step = Step.CALL_OR_END;

    private String name;
    private String key;
    private boolean string;
    private final Map<String, String> values = new LinkedHashMap<>();

    /** The block's inside begins at {@code at}; whoever adds to the text calls {@link #read} again. */
    CallBlock(StringBuilder text, int at) {
        this.text = text;
        this.at = at;
        this.tag = at;
        this.searched = at;
    }

    /** Behind the last thing found. */
    int at() {
        return at;
    }

    /** Where the tag of the call begins that is being read or due; white space before it is behind us. */
    int tag() {
        return tag;
    }

    /** The function of the call just found. */
    String name() {
        return name;
    }

    /** The arguments of the call just found: the text of a JSON object. */
    String arguments() {
        var json = new StringBuilder("{");
        values.forEach((parameter, value) -> {
            json.append(json.length() == 1 ? "" : ", ").append(PythonJson.quote(parameter));
            json.append(": ").append(value);
        });
        return json.append('}').toString();
    }

    /** The first {@code count} characters of the text were taken away. */
    void shift(int count) {
        at -= count;
        tag -= count;
        searched -= count;
    }

    /** Reads on to the next thing worth telling. */
    Found read() {
        while (true) {
            Step before = step;
            Found found = switch (step) {
                case CALL_OR_END -> callOrEnd();
                case CALL_NAME -> callName();
                case END_OF_CALL_TAG -> expect(Step.PARAMETER_OR_END, ChatTemplate.END_CALL_TAG);
                case PARAMETER_OR_END -> parameterOrEnd();
                case PARAMETER_NAME -> parameterName();
                case TYPE -> type();
                case VALUE -> value();
            };
            if (found != Found.NOTHING || step == before) {
                return found;
            }
        }
    }

    private Found callOrEnd() {
        skipSpace();
        tag = at;
        int which = take(ChatTemplate.CALL_NAME, ChatTemplate.END_CALLS);
        if (which == 0) {
            values.clear();
            go(Step.CALL_NAME);
        }
        return which == 1 ? Found.END : orElse(which);
    }

    private Found callName() {
        int end = find("\"");
        if (end == at) {
            return Found.MALFORMED; // nobody's name
        }
        if (end >= 0) {
            name = until(end);
            go(Step.END_OF_CALL_TAG);
        }
        return Found.NOTHING;
    }

    private Found parameterOrEnd() {
        skipSpace();
        int which = take(ChatTemplate.PARAMETER_NAME, ChatTemplate.END_CALL);
        if (which == 0) {
            go(Step.PARAMETER_NAME);
        } else if (which == 1) {
            go(Step.CALL_OR_END);
            return Found.CALL;
        }
        return orElse(which);
    }

    private Found parameterName() {
        int end = find("\"");
        if (end >= 0) {
            key = until(end);
            if (values.containsKey(key)) {
                return Found.MALFORMED;
            }
            go(Step.TYPE);
        }
        return Found.NOTHING;
    }

    private Found type() {
        int which = take(ChatTemplate.STRING_VALUE, ChatTemplate.JSON_VALUE);
        if (which >= 0) {
            string = which == 0;
            go(Step.VALUE);
        }
        return orElse(which);
    }

    private Found value() {
        int end = find(ChatTemplate.END_PARAMETER);
        if (end >= 0) {
            String value = until(end);
            at += ChatTemplate.END_PARAMETER.length();
            values.put(key, !string && PythonJson.parse(value).isPresent() ? value : PythonJson.quote(value));
            go(Step.PARAMETER_OR_END);
        }
        return Found.NOTHING;
    }

    private Found expect(Step next, String what) {
        int which = take(what);
        if (which == 0) {
            go(next);
        }
        return orElse(which);
    }

    private static Found orElse(int which) {
        return which == NEITHER ? Found.MALFORMED : Found.NOTHING;
    }

    private void go(Step next) {
        step = next;
        searched = at;
    }

    private void skipSpace() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    /** Takes whichever of these comes next and says which, {@link #NOT_YET} or {@link #NEITHER}. */
    private int take(String... options) {
        int result = NEITHER;
        for (int i = 0; i < options.length; i++) {
            int common = Markers.common(text, at, options[i]);
            if (common == options[i].length()) {
                at += common;
                return i;
            }
            if (at + common == text.length()) {
                result = NOT_YET;
            }
        }
        return result;
    }

    /** Where {@code what} comes next, or -1 for not yet. */
    private int find(String what) {
        int found = text.indexOf(what, searched);
        searched = Math.max(searched, text.length() - what.length() + 1);
        return found;
    }

    private String until(int end) {
        String taken = text.substring(at, end);
        at = end;
        return taken;
    }
}
