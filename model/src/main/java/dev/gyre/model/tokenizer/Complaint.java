package dev.gyre.model.tokenizer;

import dev.gyre.attention.EngineException;

/** The sentences said about files that cannot be used. What is quoted from a file is cut: no file is trusted. */
record Complaint(String where) {
    private static final int QUOTED = 60;

    /** The file is not what such files are. */
    EngineException malformed(String what) {
        return malformed(what, null);
    }

    EngineException malformed(String what, Throwable cause) {
        return new EngineException("The tokenizer in " + where + " is malformed (" + what
                + "); use the tokenizer.json and tokenizer_config.json that came with the model.", cause);
    }

    /** The file is well formed and asks for something that Gyre does not do. */
    EngineException unsupported(String what) {
        return new EngineException("The tokenizer in " + where + " needs " + what
                + ", which Gyre does not support; use a model whose tokenizer is byte-level BPE, like DeepSeek's.");
    }

    static String quote(String text) {
        return '"' + (text.length() > QUOTED ? text.substring(0, QUOTED) + "..." : text) + '"';
    }
}
