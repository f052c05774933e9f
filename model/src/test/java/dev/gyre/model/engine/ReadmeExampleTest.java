package dev.gyre.model.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.gyre.model.ModelOptions;
import dev.gyre.model.generate.Generation;
import dev.gyre.model.generate.GenerationOptions;
import org.junit.jupiter.api.Test;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The README's example runs, and is what the README shows. */
class ReadmeExampleTest {
    private static final String SOURCE = "src/test/java/dev/gyre/model/engine/ReadmeExampleTest.java";

    private static void example() throws InterruptedException {
        // README
        EngineOptions options = EngineOptions.defaults().withModel(ModelOptions.defaults().withThreads(2));
        try (Engine engine = Engine.create(options)) {
            Generation answer = engine.generate("Fellow-Citizens of the Senate", GenerationOptions.greedy(12));
            System.out.println(answer.text());
            engine.stream("Call me", GenerationOptions.greedy(8), System.out::print);

            int[] prompt = engine.model().tokenizer().encodeWithBos("The people of");
            try (TokenStream stream = engine.submit(GenerationRequest.of(prompt, GenerationOptions.greedy(8)))) {
                while (stream.next() instanceof StreamEvent.Token token) {
                    System.out.print(token.text());
                } // closing a stream that has not ended cancels its request
            }
        }
        // end
    }

    @Test
    void itRuns() throws InterruptedException {
        PrintStream before = System.out;
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
        try {
            example();
        } finally {
            System.setOut(before);
        }
        String text = printed.toString(StandardCharsets.UTF_8);
        assertTrue(text.startsWith(", and the acts of the last session of Congress, have"), text);
        assertTrue(text.lines().skip(1).findFirst().orElse("").length() > 20, text);
    }

    @Test
    void theReadmeShowsIt() throws IOException {
        List<String> lines = Files.readAllLines(Path.of(SOURCE)).stream().map(String::strip).toList();
        List<String> readme = Files.readAllLines(Path.of("../README.md")).stream().map(String::strip).toList();
        List<String> shown = lines.subList(lines.indexOf("// README") + 1, lines.indexOf("// end"));
        int start = readme.indexOf(shown.getFirst());
        assertTrue(start > 0, "the README has no example");
        assertEquals(shown, readme.subList(start, start + shown.size()));
    }
}
