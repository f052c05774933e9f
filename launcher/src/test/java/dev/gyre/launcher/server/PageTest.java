package dev.gyre.launcher.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.model.ModelOptions;
import dev.gyre.model.engine.EngineOptions;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.openqa.selenium.Keys;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * The server's page in a real browser, used as a person would. Needs Chromium and its driver on the PATH. With
 * {@code -Dgyre.page.shots=FOLDER} screenshots are left there.
 */
class PageTest {
    private static final int TOPK = 8;
    private static final String KEY = "a-key";
    private static final String ANSWER = ".turn.answer:last-child";
    private static final String TOKENS = ANSWER + " > .text .token";
    private static final String MARKED = "#context-tokens .ctx:not(.unselected)";
    private static final EngineOptions ENGINE =
            EngineOptions.defaults().withModel(ModelOptions.defaults().withIndexTopk(TOPK));

    @TempDir
    private static Path profile;

    private static TestServer server;
    private static Browser browser;

    /** Whether this test provokes refusals, which the console tells of. */
    private boolean refused;

    @BeforeAll
    static void start() {
        browser = Browser.open(profile).orElse(null);
        if (browser != null) {
            server = new TestServer(ENGINE);
        }
    }

    @AfterAll
    static void stop() {
        if (browser != null) {
            browser.close();
            server.close();
        }
    }

    @BeforeEach
    void load() {
        assumeTrue(browser != null, "chromium and chromedriver are not both on the PATH: the page is not tried");
        browser.load("about:blank");
        browser.console(); // what is of the page before
        browser.requests();
        browser.resize(1400, 900);
        open(server);
        browser.await("the page finds the model", () -> browser.text("#model").equals(TestServer.NAME));
        browser.fill("#temperature", "0");
        browser.fill("#max-tokens", "24");
    }

    @AfterEach
    void nothingElseIsAskedForAndNothingFails() {
        if (browser == null) {
            return;
        }
        for (String url : browser.requests()) {
            assertTrue(url.startsWith("http://127.0.0.1:"), () -> "the page asked another host: " + url);
        }
        List<String> console = browser.console();
        assertTrue(refused || console.isEmpty(), () -> "the console is not empty: " + console);
    }

    private static void open(TestServer which) {
        browser.load(which.server.address() + "/");
    }

    private static void send(String prompt) {
        browser.fill("#prompt", prompt);
        browser.element("#send").click();
    }

    /** Has a text completed: a model that knows little of chats has more to say there. */
    private static void complete(String text) {
        browser.element("#mode option[value=completion]").click();
        send(text);
    }

    private static void awaitTheEnd() {
        browser.await("the answer ends", () -> browser.element("#send").isEnabled());
        assertEquals("", browser.text("#error"), "no error is shown");
        assertFalse(browser.element("#stop").isEnabled(), "there is nothing to stop any more");
    }

    private static ObjectNode question() {
        return Answers.JSON.objectNode().put("temperature", 0).put("max_tokens", 24).put("return_token_ids", true);
    }

    private static ObjectNode chat(String... said) {
        ObjectNode question = question();
        ArrayNode messages = question.putArray("messages");
        for (String text : said) {
            messages.addObject().put("role", messages.size() % 2 == 1 ? "user" : "assistant").put("content", text);
        }
        return question;
    }

    private static String answer(ObjectNode question) {
        JsonNode reply = server.post("/v1/chat/completions", question).ok();
        return reply.get("choices").get(0).get("message").get("content").textValue();
    }

    private static void shoot(String name) {
        String folder = System.getProperty("gyre.page.shots");
        if (folder != null) {
            browser.screenshot(Path.of(folder, name + ".png"));
        }
    }

    @Test
    void comesFromOneHostAlone() {
        assertEquals("connected", browser.text("#status"), "the state of the connection");
        List<String> requests = browser.requests();
        for (String path : List.of("/", "/page.css", "/page.js", "/v1/models", "/metrics")) {
            assertTrue(requests.contains(server.server.address() + path), () -> path + " is asked for: " + requests);
        }
        for (String url : requests) {
            assertTrue(url.startsWith(server.server.address() + "/"), () -> "the page asked another host: " + url);
        }
        assertEquals(List.of(), browser.console(), "the console");
    }

    @Test
    void chats() {
        String question = "Once upon a time there was";
        browser.fill("#prompt", question);
        browser.element("#prompt").sendKeys(Keys.ENTER);
        awaitTheEnd();
        String first = answer(chat(question));
        assertTrue(first.length() > 20, "the model has something to say to this; else ask it something else");
        assertEquals(first, browser.text(TOKENS), "the answer is what the API says");
        assertTrue(browser.texts(TOKENS).size() > 5, "it is made of tokens");
        assertTrue(browser.text(ANSWER + " .foot").contains(" tokens/s · "), "its speed is told");
        send("The whale");
        awaitTheEnd();
        String second = answer(chat(question, first, "The whale"));
        assertNotEquals(second, answer(chat("The whale")), "it matters what was said before; else say something else");
        assertEquals(second, browser.text(TOKENS), "the second answer knows the first");
        assertEquals(4, browser.texts(".turn").size(), "two questions, two answers");
        browser.element("#clear").click();
        assertEquals(List.of(), browser.texts(".turn"), "all is cleared");
        send("The whale");
        awaitTheEnd();
        assertEquals(answer(chat("The whale")), browser.text(TOKENS), "what was cleared is forgotten");
    }

    @Test
    void completesText() {
        String prompt = "<i>Call me</i> Ishmael. Some years ago";
        complete(prompt);
        awaitTheEnd();
        assertFalse(browser.element("#system").isEnabled(), "a completion has no system prompt");
        assertEquals(prompt, browser.text(".turn.user .text"), "markup is shown as text");
        assertEquals(List.of(), browser.texts(".turn i"), "and is never markup");
        JsonNode reply = server.post("/v1/completions", question().put("prompt", prompt)).ok();
        assertEquals(reply.get("choices").get(0).get("text").textValue(), browser.text(TOKENS), "as the API says");
        int made = reply.get("usage").get("completion_tokens").intValue();
        assertTrue(browser.text(ANSWER + " .foot").contains("+ " + made + " tokens"), "the tokens are counted");
    }

    @Test
    void drawsWhatTheServerDoes() {
        browser.resize(1400, 650);
        browser.fill("#max-tokens", "400");
        complete("Call me Ishmael.");
        browser.await("a speed is shown", () -> browser.text("#stat-rate").matches("[1-9]\\d*\\.\\d|0\\.[1-9]"));
        assertTrue(browser.text("#stat-usage").matches("\\d+%"), "the use of the caches is a number");
        assertTrue(browser.text("#stat-running").matches("\\d+"), "the number of requests is a number");
        for (String chart : List.of("#chart-tokens", "#chart-usage")) {
            browser.await("a line is drawn in " + chart, () ->
                    browser.each(chart + " path:first-child", "e.getAttribute('d')").getFirst().matches("M[^L]+L.+"));
        }
        assertNotEquals("0", browser.each("#chart-tokens path", "e.getBBox().height").getFirst(), "it goes up");
        awaitTheEnd();
        assertNotEquals("0", browser.each("#conversation", "e.scrollTop").getFirst(), "the place is too small");
        browser.await("its end is in sight", () -> browser.each(
                "#conversation", "e.scrollHeight - e.scrollTop - e.clientHeight < 80").getFirst().equals("true"));
    }

    @Test
    void showsWhatIsSelected() {
        String prompt = "The whale, the ship and the sea";
        complete(prompt);
        awaitTheEnd();
        int picked = 10;
        JsonNode choice = server.post("/v1/completions", question().put("prompt", prompt)).ok().get("choices").get(0);
        ArrayNode ids = choice.withArray("prompt_token_ids");
        for (int i = 0; i < picked; i++) {
            ids.add(choice.get("token_ids").get(i));
        }
        ObjectNode question = Answers.JSON.objectNode();
        question.set("input_ids", ids);
        JsonNode expected = server.post("/inspect", question).ok();

        browser.element(TOKENS + "[data-index='" + picked + "']").click();
        browser.await("the selection is shown", () -> browser.element("#context-tokens").isDisplayed());
        List<String> tokens = new ArrayList<>();
        expected.get("tokens").forEach(token -> tokens.add(token.textValue()));
        assertEquals(tokens, browser.texts("#selection .ctx"), "the context is the tokens before the picked one");
        assertEquals(ids.size(), tokens.size(), "all of them");
        int[] layersOf = new int[tokens.size()];
        int layers = expected.get("layers").size();
        for (int layer = 0; layer < layers; layer++) {
            browser.element("#layer option[value='" + layer + "']").click();
            List<String> positions = new ArrayList<>();
            for (JsonNode position : expected.get("layers").get(layer)) {
                positions.add(position.asText());
                layersOf[position.intValue()]++;
            }
            assertEquals(TOPK, browser.texts(MARKED).size(), "index_topk positions are marked, layer " + layer);
            assertEquals(positions, browser.each(MARKED, "e.dataset.position"), "those of /inspect, layer " + layer);
            assertShadesDiffer();
            assertTrue(browser.text("#selection-summary").contains(
                    "layer " + layer + " attends to " + TOPK + " of " + tokens.size() + " tokens"), "the summary");
        }
        browser.element("#layer option[value=all]").click();
        List<String> counts = new ArrayList<>();
        for (int count : layersOf) {
            counts.add(Integer.toString(count));
        }
        assertEquals(counts, browser.each("#context-tokens .ctx", "e.dataset.layers"), "how many layers take each");
        assertTrue(browser.texts(MARKED).size() > TOPK, "all layers together take more than one does");
        shoot("1400");
        browser.resize(400, 800);
        assertEquals("0", browser.each("html", "e.scrollWidth - e.clientWidth").getFirst(), "too wide for a phone by");
        browser.resize(400, 1900);
        shoot("400");
    }

    /** What is marked can be seen. */
    private static void assertShadesDiffer() {
        Set<String> marked = new HashSet<>(browser.each(MARKED, "getComputedStyle(e).backgroundColor"));
        Set<String> others = new HashSet<>(
                browser.each("#context-tokens .ctx.unselected", "getComputedStyle(e).backgroundColor"));
        assertEquals(1, marked.size(), "one colour of what is selected");
        assertEquals(1, others.size(), "one colour of what is not");
        assertNotEquals(marked, others, "they differ");
    }

    @Test
    void tokensArePickedByKeys() {
        complete("The whale");
        awaitTheEnd();
        browser.element(TOKENS).sendKeys(Keys.ARROW_RIGHT, Keys.NULL);
        browser.element(TOKENS + ":focus").sendKeys(Keys.ENTER);
        browser.await("the selection is shown", () -> browser.element("#context-tokens").isDisplayed());
        assertEquals(List.of("1"), browser.each(".token.picked", "e.dataset.index"), "the second token is picked");
    }

    @Test
    void stopsAnAnswer() throws InterruptedException {
        double before = aborted();
        browser.fill("#max-tokens", "2000");
        complete("Call me Ishmael.");
        browser.await("tokens come while the answer goes on", () -> browser.texts(TOKENS).size() >= 5);
        assertTrue(browser.element("#stop").isEnabled(), "an answer can be stopped while it comes");
        assertFalse(browser.element("#send").isEnabled(), "nothing can be sent meanwhile");
        browser.element("#stop").click();
        awaitTheEnd();
        assertTrue(browser.text(ANSWER + " .foot").endsWith("stopped"), "the page says that it was stopped");
        assertTrue(browser.texts(TOKENS).size() >= 5, "what had come stays");
        server.assertNothingHeld();
        browser.await("the server has given it up", () -> aborted() == before + 1);
    }

    private static double aborted() {
        return server.get("/metrics").body().lines()
                .filter(line -> line.startsWith("gyre_num_aborted_requests_total{"))
                .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' '))))
                .sum();
    }

    @Test
    void showsErrors() {
        refused = true;
        String prompt = "word ".repeat(9000);
        browser.paste("#prompt", prompt);
        browser.element("#send").click();
        browser.await("an error is shown", () -> browser.element("#error").isDisplayed());
        assertTrue(browser.text("#error").matches("the prompt has \\d+ tokens .*; shorten it\\. \\(HTTP 400\\)"),
                () -> "the error is the server's: " + browser.text("#error"));
        assertEquals(List.of(prompt), browser.each("#prompt", "e.value"), "the prompt is given back");
        assertEquals(List.of(), browser.texts(".turn"), "there is no turn of it");
        complete("The whale");
        awaitTheEnd();
        assertFalse(browser.text(TOKENS).isEmpty(), "it goes on behind an error");
    }

    @Test
    void asksForTheKey() {
        refused = true;
        ServerOptions local = ServerOptions.local(TestServer.NAME);
        ServerOptions options = new ServerOptions(
                local.host(), 0, local.modelName(), KEY, List.of(), local.maxBodyBytes(), null, false);
        try (TestServer locked = new TestServer(ENGINE, options)) {
            open(locked);
            browser.await("the key is asked for", () -> browser.text("#status").contains("API key"));
            complete("The whale");
            browser.await("an error is shown", () -> browser.element("#error").isDisplayed());
            assertTrue(browser.text("#error").endsWith("(HTTP 401)"), () -> "the error: " + browser.text("#error"));
            browser.fill("#api-key", KEY);
            browser.await("it is connected", () -> browser.text("#status").equals("connected"));
            assertEquals(TestServer.NAME, browser.text("#model"), "the model's name");
            browser.fill("#max-tokens", "12");
            send("The whale");
            awaitTheEnd();
            assertFalse(browser.text(TOKENS).isEmpty(), "an answer comes");
            browser.element(TOKENS).click();
            browser.await("the selection is shown", () -> browser.element("#context-tokens").isDisplayed());
            open(locked);
            browser.await("the key is kept", () -> browser.text("#status").equals("connected"));
        }
    }
}
