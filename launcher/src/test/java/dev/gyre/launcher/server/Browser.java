package dev.gyre.launcher.server;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.openqa.selenium.By;
import org.openqa.selenium.Keys;
import org.openqa.selenium.OutputType;
import org.openqa.selenium.WebElement;
import org.openqa.selenium.chrome.ChromeDriver;
import org.openqa.selenium.chrome.ChromeDriverService;
import org.openqa.selenium.chrome.ChromeOptions;
import org.openqa.selenium.logging.LogEntry;
import org.openqa.selenium.logging.LogType;
import org.openqa.selenium.logging.LoggingPreferences;
import org.openqa.selenium.net.PortProber;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.logging.Level;

/** A Chromium without a window that is used as a person would; nothing is downloaded for it. */
final class Browser implements AutoCloseable {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final long PATIENCE_MILLIS = 60_000;

    private final ChromeDriver driver;

    private Browser(ChromeDriver driver) {
        this.driver = driver;
    }

    /** Starts the browser of this machine with an empty profile; nothing where there is none. */
    static Optional<Browser> open(Path profile) {
        Optional<Path> browser = Programs.find("chromium", "chromium-browser", "google-chrome");
        Optional<Path> driver = Programs.find("chromedriver");
        if (browser.isEmpty() || driver.isEmpty()) {
            return Optional.empty();
        }
        LoggingPreferences logs = new LoggingPreferences();
        logs.enable(LogType.BROWSER, Level.ALL);
        logs.enable(LogType.PERFORMANCE, Level.ALL);
        ChromeOptions options = new ChromeOptions();
        options.setBinary(browser.get().toFile());
        options.setCapability(ChromeOptions.LOGGING_PREFS, logs);
        options.addArguments("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
                "--disable-sync", "--user-data-dir=" + profile, "--lang=en", "--window-size=1400,900");
        return Optional.of(new Browser(new ChromeDriver(service(driver.get()), options)));
    }

    /** Not by its builder, which has an annotation of a library that is not there: javac warns of it. */
    private static ChromeDriverService service(Path driver) {
        int port = PortProber.findFreePort();
        try {
            ChromeDriverService service = new ChromeDriverService(
                    driver.toFile(), port, Duration.ofSeconds(30), List.of("--port=" + port), System.getenv());
            service.sendOutputTo(OutputStream.nullOutputStream());
            return service;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    void load(String url) {
        driver.get(url);
    }

    WebElement element(String css) {
        return driver.findElement(By.cssSelector(css));
    }

    /** Waits for something that is about to happen. */
    void await(String what, BooleanSupplier happened) {
        long end = System.currentTimeMillis() + PATIENCE_MILLIS;
        while (!happened.getAsBoolean()) {
            assertTrue(System.currentTimeMillis() < end, () -> "waited a minute in vain: " + what + "; the page shows "
                    + text("body"));
            try {
                Thread.sleep(50);
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        }
    }

    /** Replaces what is in a field. */
    void fill(String css, String text) {
        WebElement field = element(css);
        field.sendKeys(Keys.chord(Keys.CONTROL, "a"), Keys.DELETE);
        field.sendKeys(text);
    }

    /** The same with a text too long to be typed. */
    void paste(String css, String text) {
        driver.executeScript("document.querySelector(arguments[0]).value = arguments[1]", css, text);
    }

    /** All that is in an element, shown or not. */
    String text(String css) {
        return String.join("", texts(css));
    }

    List<String> texts(String css) {
        return each(css, "e.textContent");
    }

    /** What a JavaScript expression of {@code e} gives for each element. */
    List<String> each(String css, String expression) {
        Object found = driver.executeScript(
                "return [...document.querySelectorAll(arguments[0])].map((e) => String(" + expression + "))", css);
        List<String> values = new ArrayList<>();
        for (Object value : (List<?>) found) {
            values.add((String) value);
        }
        return values;
    }

    /** What the console has said since the last time. */
    List<String> console() {
        return driver.manage().logs().get(LogType.BROWSER).getAll().stream().map(LogEntry::getMessage).toList();
    }

    /** What the page has asked for since the last time. */
    List<String> requests() {
        List<String> urls = new ArrayList<>();
        for (LogEntry entry : driver.manage().logs().get(LogType.PERFORMANCE)) {
            try {
                JsonNode message = MAPPER.readTree(entry.getMessage()).get("message");
                if (message.get("method").textValue().equals("Network.requestWillBeSent")) {
                    urls.add(message.at("/params/request/url").textValue());
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        return urls;
    }

    /** Makes the page as wide as a screen of this width. */
    void resize(int width, int height) {
        driver.executeCdpCommand("Emulation.setDeviceMetricsOverride", Map.of(
                "width", width, "height", height, "deviceScaleFactor", 1, "mobile", false));
    }

    void screenshot(Path file) {
        try {
            Files.createDirectories(file.getParent());
            Files.write(file, driver.getScreenshotAs(OutputType.BYTES));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void close() {
        driver.quit();
    }
}
