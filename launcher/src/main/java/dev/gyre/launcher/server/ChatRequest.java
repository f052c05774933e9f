package dev.gyre.launcher.server;

import com.fasterxml.jackson.databind.JsonNode;
import dev.gyre.model.chat.ChatEncoder;
import dev.gyre.model.chat.ChatMessage;
import dev.gyre.model.chat.ChatPrompt;
import dev.gyre.model.chat.ThinkingMode;
import dev.gyre.model.chat.ToolCall;

import java.util.ArrayList;
import java.util.List;

/**
 * What a chat request says, apart from how to draw tokens.
 *
 * @param prompt the conversation in DeepSeek-V3.2's encoding
 * @param tools whether the answer may call functions
 * @param oneCall whether it ends with the first call
 */
record ChatRequest(ChatPrompt prompt, ThinkingMode mode, boolean tools, boolean oneCall) {
    private static final String ASSISTANT = "assistant";

    static ChatRequest read(Body body) {
        List<JsonNode> tools = tools(body);
        List<ChatMessage> messages = messages(body.objects("messages"));
        if (messages.isEmpty()) {
            throw ApiError.bad("messages", "messages is missing or empty.");
        }
        equip(messages, tools, responseFormat(body));
        ThinkingMode mode = mode(body);
        ThinkingMode encoding = mode;
        ChatPrompt prompt = Sampling.checked(() -> ChatEncoder.encode(messages, encoding, false));
        String last = messages.getLast().role();
        if (body.flag("continue_final_message", false)) {
            if (!last.equals(ASSISTANT)) {
                throw ApiError.bad("continue_final_message",
                        "continue_final_message needs an assistant's message at the end.");
            }
            prompt = new ChatPrompt(prompt.parts().subList(0, prompt.parts().size() - 1)); // without its end of text
            mode = ThinkingMode.CHAT; // whatever it thought, it has begun to speak
        } else if (last.equals(ASSISTANT) || last.equals("system")) {
            throw ApiError.bad("messages", "the last message must be the user's, a tool's or the developer's, not the "
                    + last + "'s; set continue_final_message to have an assistant's message continued.");
        }
        return new ChatRequest(prompt, mode, !tools.isEmpty(), !body.flag("parallel_tool_calls", true));
    }

    private static ThinkingMode mode(Body body) {
        Body template = body.object("chat_template_kwargs");
        boolean thinking = template.flag("thinking", template.flag("enable_thinking", false));
        if (body.get("thinking") != null) { // as DeepSeek's own API has it
            thinking = body.object("thinking").text("type", "").equals("enabled");
        }
        return thinking ? ThinkingMode.THINKING : ThinkingMode.CHAT;
    }

    private static List<JsonNode> tools(Body body) {
        List<JsonNode> functions = new ArrayList<>();
        for (Body tool : body.objects("tools")) {
            if (!tool.text("type", "function").equals("function")) {
                throw ApiError.bad(tool.path("type"), tool.path("type") + " must be \"function\".");
            }
            Body function = tool.object("function");
            if (function.text("name").isEmpty()) {
                throw function.wrong("name", "a name");
            }
            function.text("description", "");
            function.object("parameters");
            functions.add(function.node());
        }
        JsonNode choice = body.get("tool_choice");
        if (choice == null || choice.isTextual() && choice.textValue().equals("auto")) {
            return functions;
        }
        if (choice.isTextual() && choice.textValue().equals("none")) {
            return List.of();
        }
        throw ApiError.bad("tool_choice", "tool_choice must be \"auto\" or \"none\": calls cannot be enforced.");
    }

    /** A schema that the prompt tells the model to keep to; nothing enforces it. */
    private static JsonNode responseFormat(Body body) {
        Body format = body.object("response_format");
        String type = format.text("type", "text");
        if (type.equals("text")) {
            return null;
        }
        Body schema = format.object("json_schema");
        if (!type.equals("json_schema") || schema.flag("strict", false)) {
            throw ApiError.bad("response_format", "response_format must be text, or a json_schema that is not strict: "
                    + "the prompt asks for it, and nothing enforces it.");
        }
        return schema.object("schema").node();
    }

    /** Tools and response format stand in the system message, an empty one where there is none. */
    private static void equip(List<ChatMessage> messages, List<JsonNode> tools, JsonNode format) {
        if (tools.isEmpty() && format == null) {
            return;
        }
        if (!messages.getFirst().role().equals("system")) {
            messages.addFirst(ChatMessage.system(""));
        }
        messages.set(0, new ChatMessage("system", messages.getFirst().content(), null, null, tools, format));
    }

    /** The messages, the results of calls in the order of the calls, which is what the encoding goes by. */
    private static List<ChatMessage> messages(List<Body> bodies) {
        List<ChatMessage> messages = new ArrayList<>();
        for (int i = 0; i < bodies.size(); ) {
            ChatMessage message = message(bodies.get(i));
            messages.add(message);
            int end = ++i;
            while (end < bodies.size() && "tool".equals(bodies.get(end).text("role", null))) {
                end++;
            }
            if (message.role().equals(ASSISTANT) && !message.toolCalls().isEmpty() && end > i) {
                messages.addAll(results(message.toolCalls(), bodies.subList(i, end)));
                i = end;
            }
        }
        return messages;
    }

    private static List<ChatMessage> results(List<ToolCall> calls, List<Body> bodies) {
        ChatMessage[] results = new ChatMessage[calls.size()];
        int number = 0;
        for (Body body : bodies) {
            String id = body.text("tool_call_id", null);
            int place = number++;
            for (int i = 0; id != null && i < results.length; i++) {
                if (id.equals(calls.get(i).id())) {
                    place = i;
                    break;
                }
                place = calls.get(i).id() == null ? place : results.length;
            }
            if (place >= results.length || results[place] != null) {
                throw ApiError.bad(body.path("tool_call_id"),
                        body.path("tool_call_id") + " must name a call before it that has no result yet.");
            }
            results[place] = message(body);
        }
        if (number < results.length) {
            throw ApiError.bad("messages", "messages has results for " + number + " of the " + results.length
                    + " calls before them; give all of them.");
        }
        return List.of(results);
    }

    private static ChatMessage message(Body message) {
        List<ToolCall> calls = new ArrayList<>();
        for (Body call : message.objects("tool_calls")) {
            Body function = call.object("function");
            JsonNode arguments = function.get("arguments");
            // strings as OpenAI has it, or the object itself, which some clients send back
            String text = "{}";
            if (arguments != null) {
                text = arguments.isTextual() ? arguments.textValue() : arguments.toString();
            }
            calls.add(new ToolCall(call.text("id", null), function.text("name"), text));
        }
        return new ChatMessage(
                message.text("role"),
                content(message),
                message.text("reasoning_content", message.text("reasoning", null)),
                calls,
                null,
                null);
    }

    private static String content(Body message) {
        JsonNode content = message.get("content");
        if (content == null || content.isTextual()) {
            return content == null ? "" : content.textValue();
        }
        if (!content.isArray()) {
            throw message.wrong("content", "a string or an array of text parts");
        }
        StringBuilder text = new StringBuilder();
        for (Body part : message.objects("content")) {
            if (!part.text("type").equals("text")) {
                throw ApiError.bad(part.path("type"),
                        part.path("type") + " must be \"text\": the model knows nothing but text.");
            }
            text.append(part.text("text"));
        }
        return text.toString();
    }
}
