package dev.gyre.model.chat;

/**
 * One call of a function by the assistant.
 *
 * @param id what a server calls it; no part of any prompt, and null in what {@link ChatParser} returns
 * @param name the function's name
 * @param arguments the text of a JSON object
 */
public record ToolCall(String id, String name, String arguments) {
}
