package dev.gyre.model.chat;

/** Whether the model thinks before it answers. */
public enum ThinkingMode {
    /** The prompt ends with {@code </think>}: the answer comes at once. */
    CHAT,
    /** The prompt ends with {@code <think>}: reasoning comes first, then {@code </think>} and the answer. */
    THINKING
}
