package dev.gyre.model.chat;

import static dev.gyre.model.chat.ThinkingMode.CHAT;
import static dev.gyre.model.chat.ThinkingMode.THINKING;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.gyre.model.chat.ChatParser.Delta;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** What the parser makes of answers, good and bad. */
class ChatParserTest {
    private static final String OPEN = "<｜DSML｜function_calls>";
    private static final String CLOSE = "</｜DSML｜function_calls>";
    private static final String NOW = "<｜DSML｜invoke name=\"now\">\n</｜DSML｜invoke>";

    private static List<Delta> deltas(String text, ThinkingMode mode, boolean tools) {
        var parser = new ChatParser(mode, tools);
        List<Delta> deltas = parser.push(text);
        deltas.addAll(parser.finish());
        return Conversations.joined(deltas);
    }

    private static List<Delta> calls(String text) {
        return deltas(text, CHAT, true);
    }

    private static Delta content(String text) {
        return new Delta.Content(text);
    }

    private static Delta reasoning(String text) {
        return new Delta.Reasoning(text);
    }

    private static Delta call(int index) {
        return new Delta.Call(index, "now", "{}");
    }

    private static String parameter(String name, String string, String value) {
        return "<｜DSML｜parameter name=\"" + name + "\" string=\"" + string + "\">" + value + "</｜DSML｜parameter>";
    }

    private static String call(String... parameters) {
        return "\n\n" + OPEN + "\n<｜DSML｜invoke name=\"f\">\n" + String.join("\n", parameters)
                + "\n</｜DSML｜invoke>\n" + CLOSE;
    }

    private static String arguments(String... parameters) {
        ChatAnswer answer = ChatParser.parse(call(parameters), CHAT, true);
        assertEquals("", answer.content());
        return answer.toolCalls().getFirst().arguments();
    }

    @Test
    void thinkingThenAnswer() {
        assertEquals(List.of(reasoning("Hm.\n"), content("\nHello")), deltas("Hm.\n</think>\nHello", THINKING, true));
        assertEquals(List.of(reasoning("endless <think> </thin")), deltas("endless <think> </thin", THINKING, true));
        assertEquals(List.of(content("Hello")), deltas("</think>Hello", THINKING, false));
        assertEquals(List.of(reasoning("a"), content("b</think>c")), deltas("a</think>b</think>c", THINKING, true));
        assertEquals(List.of(), deltas("", THINKING, true));
    }

    @Test
    void repeatedMarkersAtTheStartAreDropped() {
        assertEquals(List.of(reasoning("Hm.")), deltas("<think>Hm.", THINKING, true));
        assertEquals(List.of(content("Hi")), deltas("<think></think>Hi", THINKING, true));
        assertEquals(List.of(reasoning("<think>")), deltas("<think><think>", THINKING, true));
        assertEquals(List.of(reasoning("\n<think>")), deltas("\n<think>", THINKING, true));
        assertEquals(List.of(content("Hi</think>")), deltas("</think>Hi</think>", CHAT, false));
        assertEquals(List.of(content("<think>")), deltas("<think>", CHAT, true));
        assertEquals(List.of(content("</thin")), deltas("</thin", CHAT, true));
        assertEquals(List.of(reasoning("<thin")), deltas("<thin", THINKING, true));
        assertEquals(List.of(call(0)), calls("</think>" + OPEN + NOW + CLOSE));
    }

    @Test
    void callsInThinkingAreThoughts() {
        String block = "\n\n" + OPEN + "\n" + NOW + "\n" + CLOSE;
        String text = "a" + block + "</think>" + block;
        assertEquals(List.of(reasoning("a" + block), call(0)), deltas(text, THINKING, true));
    }

    @Test
    void withoutToolsCallsAreText() {
        String text = "a\n\n" + OPEN + "\n" + NOW + "\n" + CLOSE;
        assertEquals(List.of(content(text)), deltas(text, CHAT, false));
        assertEquals(List.of(reasoning("r"), content(text)), deltas("r</think>" + text, THINKING, false));
    }

    @Test
    void valuesKeepTheirTypes() {
        assertEquals("{\"a\": \"1\", \"b\": 1, \"c\": [1, {\"d\" :null}], \"e\": true, \"\": \"\"}", arguments(
                parameter("a", "true", "1"), parameter("b", "false", "1"),
                parameter("c", "false", "[1, {\"d\" :null}]"), parameter("e", "false", "true"),
                parameter("", "true", "")));
    }

    @Test
    void stringsAreTakenAsTheyAre() {
        assertEquals("{\"a\\\\b\": \" two\\nlines \\\"<b>\\\" </｜DSML｜invoke> \"}",
                arguments(parameter("a\\b", "true", " two\nlines \"<b>\" </｜DSML｜invoke> ")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "word", "{", "[1,]", "NaN", "1 2", "{'a': 1}", "01"})
    void whatIsNoJsonIsAString(String value) {
        assertEquals("{\"a\": " + PythonJson.quote(value) + "}", arguments(parameter("a", "false", value)));
    }

    @Test
    void deepNestingIsNoAccident() {
        String deep = "[".repeat(100_000) + "]".repeat(100_000);
        assertEquals("{\"a\": \"" + deep + "\"}", arguments(parameter("a", "false", deep)));
    }

    @Test
    void whiteSpaceBetweenTagsMeansNothing() {
        for (String space : List.of("", "\n", " \t\r\n\n")) {
            for (String lines : List.of("", "\n", "\n\n")) {
                String inside = space + "<｜DSML｜invoke name=\"now\">" + space + "</｜DSML｜invoke>" + space;
                String block = OPEN + inside + inside + CLOSE;
                assertEquals(List.of(content("Hi"), call(0), call(1)), calls("Hi" + lines + block));
            }
        }
        assertEquals(List.of(content("Hi\n"), call(0)), calls("Hi\n\n\n" + OPEN + NOW + CLOSE));
    }

    @Test
    void textAfterABlockIsContent() {
        String block = OPEN + NOW + NOW + CLOSE;
        assertEquals(List.of(call(0), call(1), content("\nand"), call(2), call(3), content("\n")),
                calls(block + "\nand\n\n" + block + "\n"));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "text", "<", "<｜DSML｜function_calls>", "<｜DSML｜invoke>", "</｜DSML｜invoke>",
        "<｜DSML｜invoke name=\"\"></｜DSML｜invoke>", "<｜DSML｜invoke name='f'></｜DSML｜invoke>",
        "<｜DSML｜invoke name=\"f", "<｜DSML｜invoke name=\"f\">", "<｜DSML｜invoke name=\"f\" x=\"y\"></｜DSML｜invoke>",
        "<｜DSML｜invoke name=\"f\">{}</｜DSML｜invoke>", "<｜DSML｜invoke name=\"f\"></｜DSML｜function_calls>",
        "<｜DSML｜invoke name=\"f\"><｜DSML｜parameter string=\"true\">x</｜DSML｜parameter></｜DSML｜invoke>",
        "<｜DSML｜invoke name=\"f\"><｜DSML｜parameter name=\"a\">x</｜DSML｜parameter></｜DSML｜invoke>",
        "<｜DSML｜invoke name=\"f\"><｜DSML｜parameter name=\"a\" string=\"no\">x</｜DSML｜parameter></｜DSML｜invoke>",
        "<｜DSML｜invoke name=\"f\"><｜DSML｜parameter name=\"a\" string=\"true\">x</｜DSML｜invoke>",
        "<｜DSML｜invoke name=\"f\"><｜DSML｜parameter name=\"a\" string=\"true\">x</｜DSML｜parameter> y </｜DSML｜invoke>",
    })
    void malformedCallsAreContent(String call) {
        for (String more : List.of("", "\n", "\n" + CLOSE + " more\n\n" + OPEN + "\n")) {
            assertEquals(List.of(content("Hi\n\n" + OPEN + "\n" + call + more)),
                    calls("Hi\n\n" + OPEN + "\n" + call + more));
            assertEquals(List.of(content("Hi"), call(0), content(call + more)),
                    calls("Hi\n\n" + OPEN + "\n" + NOW + "\n" + call + more), "a call that came before stays");
        }
    }

    @Test
    void blocksWithoutCallsAreContent() {
        for (String block : List.of("\n\n" + OPEN + CLOSE, OPEN + "\n" + CLOSE + "\n", OPEN, "\n" + OPEN + "\n")) {
            assertEquals(List.of(content(block)), calls(block));
        }
        assertEquals(List.of(content(OPEN + CLOSE + OPEN + NOW + CLOSE)), calls(OPEN + CLOSE + OPEN + NOW + CLOSE));
    }

    @Test
    void unclosedBlocksKeepTheirCalls() {
        assertEquals(List.of(call(0)), calls(OPEN + NOW));
        assertEquals(List.of(call(0)), calls(OPEN + NOW + "\n"));
        assertEquals(List.of(call(0), content("</｜DSML｜func")), calls(OPEN + NOW + "\n</｜DSML｜func"));
    }

    @Test
    void duplicateParametersAreMalformed() {
        String text = call(parameter("a", "true", "1"), parameter("b", "true", "1"), parameter("a", "true", "1"));
        assertEquals(List.of(content(text)), calls(text));
        String both = OPEN + NOW + text.substring(text.indexOf("\n<"));
        assertEquals(List.of(call(0), content(both.substring((OPEN + NOW + "\n").length()))), calls(both));
    }

    @Test
    void textIsNotHeldBack() {
        var parser = new ChatParser(THINKING, true);
        assertEquals(List.of(reasoning("H")), parser.push("H"));
        assertEquals(List.of(), parser.push("<"));
        assertEquals(List.of(), parser.push("/think"));
        assertEquals(List.of(reasoning("</thinks")), parser.push("s"));
        assertEquals(List.of(reasoning("\n\n")), parser.push("\n\n</"));
        assertEquals(List.of(content("a")), parser.push("think>a\n\n"));
        assertEquals(List.of(content("\n")), parser.push("\n"));
        assertEquals(List.of(), parser.push("<｜DSML｜func"));
        assertEquals(List.of(content("\n\n<｜DSML｜func b")), parser.push(" b"));
        assertEquals(List.of(content("\n")), parser.push("\n\n\n<｜DSML｜function_calls>"));
        assertEquals(List.of(), parser.push("\n<｜DSML｜invoke name=\"now\">\n</｜DSML｜invoke"));
        assertEquals(List.of(call(0)), parser.push(">"));
        assertEquals(List.of(content("n")), parser.push("\nn"), "nothing begins like this");
        assertEquals(List.of(content("o")), parser.push("o"));
        assertEquals(List.of(), parser.finish());
        assertEquals(List.of(), parser.finish());
    }

    /** A million characters, one by one: whoever looks at the beginning again each time does not get through. */
    @ParameterizedTest
    @CsvSource(delimiter = ';', value = {
        "THINKING;'';x", "THINKING;'';<", "CHAT;'';'</think'", "CHAT;'';' '",
        "CHAT;'<｜DSML｜function_calls>';' '",
        "CHAT;'<｜DSML｜function_calls><｜DSML｜invoke name=\"';n",
        "CHAT;'<｜DSML｜function_calls><｜DSML｜invoke name=\"f\"><｜DSML｜parameter name=\"a\" string=\"true\">';'</'",
        "CHAT;'<｜DSML｜function_calls>';'<｜DSML｜invoke name=\"f\"></｜DSML｜invoke>'",
    })
    void timeIsLinear(ThinkingMode mode, String before, String repeated) {
        String text = before + repeated.repeat(1_000_000 / repeated.length());
        assertTimeoutPreemptively(Duration.ofSeconds(20), () -> {
            var parser = new ChatParser(mode, true);
            List<Delta> deltas = new ArrayList<>();
            for (int i = 0; i < text.length(); i++) {
                deltas.addAll(parser.push(text.substring(i, i + 1)));
            }
            deltas.addAll(parser.finish());
            ChatAnswer answer = ChatParser.parse(text, mode, true);
            assertEquals(answer.toolCalls().size(), deltas.stream().filter(Delta.Call.class::isInstance).count());
        });
    }
}
