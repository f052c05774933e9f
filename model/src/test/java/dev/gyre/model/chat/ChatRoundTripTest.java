package dev.gyre.model.chat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/** An assistant message written into a prompt and parsed out of it is the message it was. */
class ChatRoundTripTest {
    private static final String END = "<｜end▁of▁sentence｜>";

    static Stream<Conversations.Case> recorded() {
        return Conversations.recorded().filter(one -> one.prompt() != null);
    }

    /** The recorded answers that stand last, but the ones that spell markers of the format themselves. */
    @ParameterizedTest
    @MethodSource("recorded")
    void recordedAnswers(Conversations.Case recorded) {
        List<ChatMessage> messages = recorded.messages();
        ChatMessage last = messages.getLast();
        if (last.role().equals("assistant") && messages.size() > 1
                && last.toolCalls().stream().noneMatch(call -> call.arguments().contains("｜")
                        || call.name().contains("\""))) {
            assertRoundTrip(messages, recorded.mode());
        }
    }

    private static void assertRoundTrip(List<ChatMessage> messages, ThinkingMode mode) {
        ChatMessage last = messages.getLast();
        String before = ChatEncoder.encode(messages.subList(0, messages.size() - 1), mode, false).text();
        String all = ChatEncoder.encode(messages, mode, false).text();
        assertTrue(all.startsWith(before) && all.endsWith(END));
        ChatAnswer answer = ChatParser.parse(all.substring(before.length(), all.length() - END.length()), mode, true);

        assertEquals(last.content() == null ? "" : last.content(), answer.content());
        String reasoning = mode == ThinkingMode.CHAT || last.reasoningContent() == null ? "" : last.reasoningContent();
        assertEquals(reasoning, answer.reasoningContent());
        assertEquals(last.toolCalls().stream().map(ToolCall::name).toList(),
                answer.toolCalls().stream().map(ToolCall::name).toList());
        for (int i = 0; i < last.toolCalls().size(); i++) {
            String arguments = last.toolCalls().get(i).arguments();
            // infinities have no JSON: they come back as the words that Python wrote for them
            String expected = PythonJson.write(PythonJson.parse(arguments).orElseThrow())
                    .replaceAll(" (-?Infinity)", " \"$1\"");
            assertEquals(expected, answer.toolCalls().get(i).arguments());
        }
    }

    @ParameterizedTest
    @EnumSource(ThinkingMode.class)
    void randomAnswers(ThinkingMode mode) {
        var random = new Random(5);
        for (int round = 0; round < 2000; round++) {
            List<ToolCall> calls = new ArrayList<>();
            for (int i = random.nextInt(4); i > 0; i--) {
                calls.add(new ToolCall(null, "f" + text(random).replace('"', '\''), arguments(random)));
            }
            assertRoundTrip(List.of(ChatMessage.user("x"),
                    new ChatMessage("assistant", text(random), "Hm." + text(random), calls, null, null)), mode);
        }
    }

    private static String arguments(Random random) {
        var json = new StringBuilder("{");
        for (int i = random.nextInt(4); i > 0; i--) {
            String value = switch (random.nextInt(6)) {
                case 0 -> String.valueOf(random.nextInt());
                case 1 -> String.valueOf(random.nextGaussian());
                case 2 -> "[null, {\"k\": " + PythonJson.quote(text(random)) + "}, true]";
                case 3 -> "{}";
                default -> PythonJson.quote(text(random));
            };
            json.append(json.length() == 1 ? "" : ", ")
                    .append(PythonJson.quote(i + text(random).replace('"', '\''))).append(": ").append(value);
        }
        return json.append("}").toString();
    }

    private static String text(Random random) {
        String[] pieces = {"a", " ", "\n", "\"", "\\", "<", ">", "</", "é", "😀", "\u0001", "<｜", "/>", "1", "null"};
        var text = new StringBuilder();
        for (int i = random.nextInt(6); i > 0; i--) {
            text.append(pieces[random.nextInt(pieces.length)]);
        }
        return text.toString();
    }
}
