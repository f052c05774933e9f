/**
 * Conversations of DeepSeek-V3.2: messages to a prompt, and what the model generates after it back to an answer.
 *
 * <p>{@link dev.gyre.model.chat.ChatEncoder} writes prompts; {@link dev.gyre.model.chat.ChatParser} reads answers as
 * they stream, with {@code CallBlock} for the calls in them. Both keep to the format of {@code encoding_dsv32.py}, that
 * DeepSeek published with the model in place of a Jinja template. Its spelling stands in {@code ChatTemplate} alone;
 * {@code PythonJson} writes JSON as the model saw it in training.
 *
 * <p>It uses Jackson and {@code dev.gyre.attention.EngineException}, and nothing else of Gyre; in particular it knows
 * no tokenizer: {@link dev.gyre.model.chat.ChatPrompt} says which stretches of a prompt are control tokens.
 */
package dev.gyre.model.chat;
