package dev.gyre.model.tokenizer;

import java.text.Normalizer;
import java.util.List;

/** The normalizers of a tokenizer in order; mostly there are none. */
record Normalization(List<Normalizer.Form> forms) {
    Normalization {
        forms = List.copyOf(forms);
    }

    /** The text normalized, or the same string when nothing changes. */
    String apply(String text) {
        String normal = text;
        for (Normalizer.Form form : forms) {
            normal = Normalizer.normalize(normal, form);
        }
        return normal;
    }
}
