package dev.gyre.model.chat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.model.chat.ChatParser.Delta;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Rubbish that looks like the format: never a failure, never a lost character, and cuts do not matter. */
class ChatParserFuzzTest {
    private static final String[] PIECES = {
        "<think>", "</think>", "<｜DSML｜function_calls>", "</｜DSML｜function_calls>",
        "<｜DSML｜invoke name=\"f\">", "</｜DSML｜invoke>", "<｜DSML｜parameter name=\"a\" string=\"true\">",
        "<｜DSML｜parameter name=\"b\" string=\"false\">", "</｜DSML｜parameter>",
        "<｜DSML｜invoke name=\"now\">\n</｜DSML｜invoke>",
        "\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"g\">\n<｜DSML｜parameter name=\"c\" string=\"true\">",
        "<｜DSML｜function_calls><｜DSML｜invoke name=\"f\">", "\n", "\n\n", " ", "\t", "<", "<｜", "</", "\"", ">", "x",
        "text", "12", "[1]", "😀", "\u0000",
    };
    private static final Pattern OPEN = Pattern.compile("\n{0,2}<｜DSML｜function_calls>");
    private static final Pattern CALL = Pattern.compile("[ \t\r\n]*+(?<call><｜DSML｜invoke name=\"(?<name>[^\"]++)\">"
            + "(?:[ \t\r\n]*+<｜DSML｜parameter name=\"[^\"]*+\" string=\"(?:true|false)\">"
            + "(?:(?!</｜DSML｜parameter>)(?s:.))*+</｜DSML｜parameter>)*+[ \t\r\n]*+</｜DSML｜invoke>)");
    private static final Pattern KEY = Pattern.compile(
            "<｜DSML｜parameter name=\"([^\"]*)\" string=\"\\w+\">(?:(?!</｜DSML｜parameter>)(?s:.))*");
    private static final Pattern CLOSE = Pattern.compile("[ \t\r\n]*+</｜DSML｜function_calls>");

    /** What a model might generate on a bad day. */
    private static String rubbish(Random random) {
        var text = new StringBuilder();
        for (int i = random.nextInt(4); i > 0; i--) {
            noise(text, random, 3);
            if (random.nextInt(3) > 0) {
                text.append("</think>".repeat(random.nextInt(8) / 7));
                block(text, random);
            }
        }
        noise(text, random, 3);
        return random.nextInt(3) == 0 ? "Hm.</think>" + text : text.toString();
    }

    /** A block as it should be, but for some noise. */
    private static void block(StringBuilder text, Random random) {
        text.append("\n".repeat(random.nextInt(4))).append("<｜DSML｜function_calls>");
        for (int call = random.nextInt(4); call > 0; call--) {
            noise(text.append("\n"), random, 14);
            text.append("<｜DSML｜invoke name=\"f\">");
            for (int parameter = random.nextInt(3); parameter > 0; parameter--) {
                noise(text.append("\n"), random, 14);
                text.append("<｜DSML｜parameter name=\"").append("ab".charAt(random.nextInt(2))).append(parameter / 2)
                        .append(random.nextBoolean() ? "\" string=\"true\">" : "\" string=\"false\">");
                noise(text, random, 2);
                text.append("</｜DSML｜parameter>");
            }
            text.append("\n</｜DSML｜invoke>");
        }
        noise(text, random, 14);
        text.append("\n</｜DSML｜function_calls>");
    }

    /** Once in {@code rarity} times a few pieces, some of them cut off. */
    private static void noise(StringBuilder text, Random random, int rarity) {
        if (random.nextInt(rarity) == 0) {
            for (int i = random.nextInt(5); i > 0; i--) {
                String piece = PIECES[random.nextInt(PIECES.length)];
                text.append(random.nextInt(12) == 0 ? piece.substring(0, random.nextInt(piece.length() + 1)) : piece);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(ThinkingMode.class)
    void cutsDoNotMatter(ThinkingMode mode) {
        var random = new Random(11);
        for (int round = 0; round < 20_000; round++) {
            String text = rubbish(random);
            boolean tools = random.nextInt(4) > 0;
            var whole = new ChatParser(mode, tools);
            List<Delta> expected = whole.push(text);
            expected.addAll(whole.finish());
            int longest = 1 + random.nextInt(round % 2 == 0 ? 12 : 120);
            var parser = new ChatParser(mode, tools);
            List<Delta> deltas = new ArrayList<>();
            for (int from = 0; from < text.length(); ) {
                int to = Math.min(text.length(), from + random.nextInt(longest + 1));
                deltas.addAll(parser.push(text.substring(from, to)));
                from = to;
            }
            deltas.addAll(parser.finish());
            assertEquals(Conversations.joined(expected), Conversations.joined(deltas), text);
        }
    }

    /** Against what regular expressions make of the whole text. */
    @ParameterizedTest
    @EnumSource(ThinkingMode.class)
    void nothingIsLost(ThinkingMode mode) {
        var random = new Random(12);
        int called = 0;
        for (int round = 0; round < 20_000; round++) {
            String text = rubbish(random);
            String rest = text;
            List<String> expected = new ArrayList<>();
            if (mode == ThinkingMode.THINKING) {
                String thinking = text.startsWith("<think>") ? text.substring(7) : text;
                int end = thinking.indexOf("</think>");
                add(expected, "reasoning ", end < 0 ? thinking : thinking.substring(0, end));
                rest = end < 0 ? "" : thinking.substring(end + 8);
            } else if (text.startsWith("</think>")) {
                rest = text.substring(8);
            }
            expected.addAll(split(rest));

            var parser = new ChatParser(mode, true);
            List<Delta> deltas = parser.push(text);
            deltas.addAll(parser.finish());
            List<String> found = new ArrayList<>();
            for (Delta delta : Conversations.joined(deltas)) {
                switch (delta) {
                    case Delta.Reasoning(String more) -> add(found, "reasoning ", more);
                    case Delta.Content(String more) -> add(found, "content ", more);
                    case Delta.Call(_, String name, _) -> found.add("call " + name);
                }
            }
            assertEquals(expected, found, text);
            called += found.stream().anyMatch(one -> one.startsWith("call")) ? 1 : 0;
        }
        assertTrue(called > 2000, "calls among the rubbish: " + called);
    }

    private static List<String> split(String text) {
        List<String> found = new ArrayList<>();
        var content = new StringBuilder();
        int from = 0;
        Matcher open = OPEN.matcher(text);
        while (open.find(from)) {
            content.append(text, from, open.start());
            from = open.end();
            int calls = 0;
            Matcher call = CALL.matcher(text);
            while (call.region(from, text.length()).lookingAt() && distinctKeys(call.group())) {
                add(found, "content ", content.toString());
                content.setLength(0);
                found.add("call " + call.group("name"));
                from = call.end();
                calls++;
            }
            Matcher close = CLOSE.matcher(text).region(from, text.length());
            if (calls == 0 || !close.lookingAt()) {
                String after = text.substring(from).replaceAll("^[ \t\r\n]+", "");
                content.append(calls == 0 ? text.substring(open.start()) : after);
                from = text.length();
                break;
            }
            from = close.end();
        }
        add(found, "content ", content.append(text.substring(from)).toString());
        return found;
    }

    private static boolean distinctKeys(String call) {
        List<String> keys = KEY.matcher(call).results().map(key -> key.group(1)).toList();
        return keys.stream().distinct().count() == keys.size();
    }

    private static void add(List<String> to, String kind, String text) {
        if (!text.isEmpty()) {
            to.add(kind + text);
        }
    }
}
