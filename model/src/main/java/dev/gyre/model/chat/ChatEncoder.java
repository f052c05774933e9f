package dev.gyre.model.chat;

import static dev.gyre.model.chat.ChatTemplate.ASSISTANT;
import static dev.gyre.model.chat.ChatTemplate.BEGIN;
import static dev.gyre.model.chat.ChatTemplate.CALLS;
import static dev.gyre.model.chat.ChatTemplate.CALL_NAME;
import static dev.gyre.model.chat.ChatTemplate.DEVELOPER;
import static dev.gyre.model.chat.ChatTemplate.END;
import static dev.gyre.model.chat.ChatTemplate.END_CALL;
import static dev.gyre.model.chat.ChatTemplate.END_CALLS;
import static dev.gyre.model.chat.ChatTemplate.END_CALL_TAG;
import static dev.gyre.model.chat.ChatTemplate.END_PARAMETER;
import static dev.gyre.model.chat.ChatTemplate.END_RESULT;
import static dev.gyre.model.chat.ChatTemplate.END_RESULTS;
import static dev.gyre.model.chat.ChatTemplate.END_THINK;
import static dev.gyre.model.chat.ChatTemplate.END_TOOLS;
import static dev.gyre.model.chat.ChatTemplate.JSON_VALUE;
import static dev.gyre.model.chat.ChatTemplate.PARAMETER_NAME;
import static dev.gyre.model.chat.ChatTemplate.RESPONSE_FORMAT;
import static dev.gyre.model.chat.ChatTemplate.RESULT;
import static dev.gyre.model.chat.ChatTemplate.RESULTS;
import static dev.gyre.model.chat.ChatTemplate.STRING_VALUE;
import static dev.gyre.model.chat.ChatTemplate.THINK;
import static dev.gyre.model.chat.ChatTemplate.TOOLS;
import static dev.gyre.model.chat.ChatTemplate.USER;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gyre.attention.EngineException;

import java.util.List;
import java.util.Map;

/**
 * Conversations to prompts, as {@code encode_messages} of DeepSeek's {@code encoding_dsv32.py} writes them.
 *
 * <pre>{@code
 * ChatPrompt prompt = ChatEncoder.encode(List.of(ChatMessage.user("Hello")), ThinkingMode.CHAT, true);
 * prompt.text();   // <｜begin▁of▁sentence｜><｜User｜>Hello<｜Assistant｜></think>
 * }</pre>
 */
public final class ChatEncoder {
    private static final int QUOTED = 60;

    private final List<ChatMessage> messages;
    private final boolean thinking;
    /** Where the user, or a developer, spoke last; -1 when nowhere. What was thought before is not repeated. */
    private final int lastUser;
    private final ChatPrompt.Builder prompt = new ChatPrompt.Builder();

    private ChatEncoder(List<ChatMessage> messages, ThinkingMode mode) {
        this.messages = messages;
        this.thinking = mode == ThinkingMode.THINKING;
        int last = messages.size() - 1;
        while (last >= 0 && !isUsers(messages.get(last))) {
            last--;
        }
        this.lastUser = last;
    }

    /**
     * The prompt after which the model says what comes next. A message without content counts as one with empty
     * content.
     *
     * @param mode whether the model shall think first
     * @param dropThinking as DeepSeek's {@code drop_thinking}: forget the thinking before the last user message. The
     *     format leaves that out in any case; what differs is that, in thinking mode, developer messages before the
     *     last user message are then refused
     * @throws EngineException of the usage kind, when the messages do not make a conversation; names the message
     */
    public static ChatPrompt encode(List<ChatMessage> messages, ThinkingMode mode, boolean dropThinking) {
        if (messages.isEmpty()) {
            throw EngineException.usage("messages is empty; give at least one message.");
        }
        var encoder = new ChatEncoder(messages, mode);
        encoder.prompt.template(BEGIN);
        for (int i = 0; i < messages.size(); i++) {
            encoder.message(i, dropThinking);
        }
        return encoder.prompt.build();
    }

    private void message(int index, boolean dropThinking) {
        ChatMessage message = messages.get(index);
        switch (String.valueOf(message.role())) {
            case "system" -> {
                prompt.text(text(message.content()));
                instructions(message);
            }
            case "developer" -> {
                if (thinking && dropThinking && index < lastUser) {
                    throw wrong(index, " has the role developer before the last user message, which thinking mode does "
                            + "not allow; use the role system.");
                }
                developer(index, message);
            }
            case "user" -> {
                prompt.template(USER).text(text(message.content())).template(ASSISTANT);
                answerBegins(index == lastUser);
            }
            case "tool" -> result(index, message);
            case "assistant" -> assistant(index, message);
            default -> throw wrong(index, ".role must be system, developer, user, assistant or tool, found "
                    + quoted(message.role()) + ".");
        }
    }

    private void developer(int index, ChatMessage message) {
        if (text(message.content()).isEmpty()) {
            throw wrong(index, " has the role developer and no content; give it some.");
        }
        prompt.template(USER);
        instructions(message);
        prompt.template(DEVELOPER).text(message.content()).template(ASSISTANT);
        answerBegins(index == lastUser);
    }

    /** The tools and the form of the answer that a message asks for. */
    private void instructions(ChatMessage message) {
        String before = TOOLS;
        for (JsonNode tool : message.tools()) {
            prompt.template(before).text(PythonJson.write(tool));
            before = "\n";
        }
        if (!message.tools().isEmpty()) {
            prompt.template(END_TOOLS);
        }
        if (asksSomething(message.responseFormat())) {
            prompt.template(RESPONSE_FORMAT).text(PythonJson.write(message.responseFormat()));
        }
    }

    /** Results stand right behind the assistant message that called, in the order of its calls. */
    private void result(int index, ChatMessage message) {
        int caller = index - 1;
        while (caller >= 0 && "tool".equals(messages.get(caller).role())) {
            caller--;
        }
        if (caller < 0 || !"assistant".equals(messages.get(caller).role())
                || messages.get(caller).toolCalls().isEmpty()) {
            throw wrong(index, " has the role tool and does not follow an assistant message with tool_calls.");
        }
        int calls = messages.get(caller).toolCalls().size();
        int order = index - caller;
        if (order > calls) {
            throw wrong(index, " is one tool result too many: messages[" + caller + "] has " + calls
                    + (calls == 1 ? " tool call." : " tool calls."));
        }
        if (order == 1) {
            prompt.template(RESULTS);
        }
        prompt.template(RESULT).text(text(message.content())).template(END_RESULT);
        if (order == calls) {
            prompt.template(END_RESULTS).template("\n\n");
            answerBegins(index >= lastUser);
        }
    }

    private void assistant(int index, ChatMessage message) {
        if (thinking && index > lastUser) {
            String reasoning = text(message.reasoningContent());
            if (reasoning.isEmpty() && message.toolCalls().isEmpty()) {
                throw wrong(index, " is an assistant message after the last user message, which in thinking mode needs "
                        + "reasoning_content or tool_calls.");
            }
            prompt.text(reasoning).template(END_THINK);
        }
        prompt.text(text(message.content()));
        if (!message.toolCalls().isEmpty()) {
            prompt.template("\n\n").template(CALLS).template("\n");
            for (int i = 0; i < message.toolCalls().size(); i++) {
                call(message.toolCalls().get(i), "messages[" + index + "].tool_calls[" + i + "].function");
            }
            prompt.template(END_CALLS);
        }
        prompt.template(END);
    }

    private void call(ToolCall call, String where) {
        if (call.name() == null) {
            throw EngineException.usage(where + ".name is missing.");
        }
        JsonNode arguments = PythonJson.parse(text(call.arguments()))
                .filter(JsonNode::isObject)
                .orElseThrow(() -> EngineException.usage(where + ".arguments must be a JSON object."));
        prompt.template(CALL_NAME).text(call.name()).template(END_CALL_TAG).template("\n");
        String before = "";
        for (Map.Entry<String, JsonNode> argument : arguments.properties()) {
            JsonNode value = argument.getValue();
            prompt.template(before).template(PARAMETER_NAME).text(argument.getKey())
                    .template(value.isTextual() ? STRING_VALUE : JSON_VALUE)
                    .text(value.isTextual() ? value.textValue() : PythonJson.write(value))
                    .template(END_PARAMETER);
            before = "\n";
        }
        // without parameters an empty line stands between the tags
        prompt.template("\n").template(END_CALL).template("\n");
    }

    /** Whether the model thinks in the turn that now begins: only in the one that is not over yet. */
    private void answerBegins(boolean current) {
        prompt.template(thinking && current ? THINK : END_THINK);
    }

    private static boolean isUsers(ChatMessage message) {
        return "user".equals(message.role()) || "developer".equals(message.role());
    }

    /** What Python takes for true: the encoding leaves out a format that is null, empty or the like. */
    private static boolean asksSomething(JsonNode format) {
        return format != null && (format.isContainerNode() ? !format.isEmpty()
                : format.isTextual() ? !format.textValue().isEmpty()
                : format.isNumber() ? format.doubleValue() != 0
                : format.booleanValue());
    }

    private static String text(String text) {
        return text == null ? "" : text;
    }

    private static String quoted(String text) {
        return text == null ? "none"
                : '"' + (text.length() > QUOTED ? text.substring(0, QUOTED) + "..." : text) + '"';
    }

    private static EngineException wrong(int index, String what) {
        return EngineException.usage("messages[" + index + "]" + what);
    }
}
