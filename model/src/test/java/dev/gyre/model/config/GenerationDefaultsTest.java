package dev.gyre.model.config;

import static dev.gyre.model.Failures.assertSays;
import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.Set;

/** What generation_config.json recommends. */
class GenerationDefaultsTest {
    private static GenerationDefaults read(String config, String generation) {
        return GenerationDefaults.read(
                Configs.fields(config), generation == null ? null : Configs.fields(generation), 100);
    }

    @Test
    void endOfText() {
        assertEquals(Set.of(1), read("{\"eos_token_id\":1}", null).eos());
        assertEquals(Set.of(1, 99), read("{\"eos_token_id\":[1,99]}", null).eos());
        assertEquals(Set.of(7), read("{\"eos_token_id\":1}", "{\"eos_token_id\":7}").eos());
        assertEquals(Set.of(1), read("{\"eos_token_id\":1}", "{\"eos_token_id\":null}").eos());
        assertEquals(Set.of(), read("{}", "{}").eos());
    }

    @ParameterizedTest
    @ValueSource(strings = {"100", "-1", "1.5", "\"1\"", "[1,100]", "[[1]]", "{}", "99999999999", "true"})
    void endOfTextThatIsNoToken(String value) {
        assertSays(() -> read("{\"eos_token_id\":" + value + "}", null),
                "config.json: eos_token_id must be", "below 100");
        assertSays(() -> read("{}", "{\"eos_token_id\":" + value + "}"), "eos_token_id must be");
    }

    @Test
    void sampling() {
        String generation = "\"temperature\":0.6,\"top_p\":0.95,\"top_k\":40}";
        assertEquals(new GenerationDefaults(Set.of(), 0.6, 0.95, 40), read("{}", "{\"do_sample\":true," + generation));
        // without do_sample, Hugging Face's default is greedy, whatever the other fields say
        assertEquals(new GenerationDefaults(Set.of(), 0, 1, 0), read("{}", "{\"do_sample\":false," + generation));
        assertEquals(new GenerationDefaults(Set.of(), 0, 1, 0), read("{}", "{" + generation));
        assertEquals(new GenerationDefaults(Set.of(), 1, 1, 0), read("{}", "{\"do_sample\":true}"));
    }

    @Test
    void samplingOutOfRange() {
        assertSays(() -> read("{}", "{\"do_sample\":true,\"top_p\":1.5}"), "top_p must be at most 1");
        assertSays(() -> read("{}", "{\"do_sample\":true,\"top_p\":0}"), "top_p must be a positive number");
        assertSays(() -> read("{}", "{\"do_sample\":true,\"temperature\":-1}"), "temperature must be");
        assertSays(() -> read("{}", "{\"do_sample\":true,\"top_k\":2.5}"), "top_k must be");
        assertSays(() -> read("{}", "{\"do_sample\":1}"), "do_sample must be true or false");
    }
}
