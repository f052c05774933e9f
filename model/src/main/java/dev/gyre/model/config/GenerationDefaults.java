package dev.gyre.model.config;

import com.fasterxml.jackson.databind.JsonNode;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * What {@code generation_config.json} (and, for the end of text, {@code config.json}) recommends.
 *
 * @param eos tokens that end a text
 * @param temperature recommended temperature; 0 where do_sample is false
 * @param topP recommended nucleus
 * @param topK recommended number of candidates; 0 for all
 */
public record GenerationDefaults(Set<Integer> eos, double temperature, double topP, int topK) {
    /**
     * @param config config.json
     * @param generation generation_config.json; null where the model has none
     */
    public static GenerationDefaults read(Fields config, Fields generation, int vocabulary) {
        boolean named = generation != null && generation.has("eos_token_id");
        Set<Integer> eos = eos(named ? generation : config, vocabulary);
        if (generation == null || !generation.flag("do_sample", false)) {
            return new GenerationDefaults(eos, 0, 1, 0);
        }
        double topP = generation.positive("top_p", 1);
        if (topP > 1) {
            throw generation.wrong("top_p", "at most 1");
        }
        return new GenerationDefaults(
                eos, generation.positive("temperature", 1), topP, generation.count("top_k", 0, 0));
    }

    private static Set<Integer> eos(Fields fields, int vocabulary) {
        JsonNode value = fields.get("eos_token_id");
        Set<Integer> ids = new LinkedHashSet<>();
        if (value == null) {
            return ids;
        }
        for (JsonNode id : value.isArray() ? value : List.of(value)) {
            if (!id.isInt() || id.intValue() < 0 || id.intValue() >= vocabulary) {
                throw fields.wrong("eos_token_id", "a token id below " + vocabulary + ", or a list of them");
            }
            ids.add(id.intValue());
        }
        return ids;
    }
}
