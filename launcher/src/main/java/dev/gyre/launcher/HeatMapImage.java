package dev.gyre.launcher;

import dev.gyre.attention.EngineException;
import dev.gyre.model.research.HeatMap;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;

import javax.imageio.ImageIO;

/** Heat maps as PNG, without any writing on them: a machine without fonts can draw them too. */
final class HeatMapImage {
    /** Pixels that a picture has at least in each direction: cells are drawn larger where there are few. */
    private static final int LEAST = 512;
    /** Values from 0 to 1: dark blue, violet, red, orange, light yellow; brightness grows steadily. */
    private static final int[][] COLOURS = {{8, 8, 48}, {92, 22, 120}, {196, 52, 84}, {246, 140, 40}, {255, 250, 190}};

    private HeatMapImage() {}

    /** Makes the folder where it is missing; before anything is computed, so that a mistake is known at once. */
    static void prepare(Path folder) {
        try {
            Files.createDirectories(folder);
        } catch (FileAlreadyExistsException e) {
            throw new EngineException("--out: " + folder + " is a file, not a folder.", e);
        } catch (IOException e) {
            throw new EngineException("--out: cannot make the folder " + folder + ": " + e.getMessage() + ".", e);
        }
        if (!Files.isWritable(folder)) {
            throw new EngineException("--out: the folder " + folder + " cannot be written to.");
        }
    }

    /**
     * Draws a map.
     *
     * @param gamma shown is {@code (value / largest)^gamma}: below 1 small values are seen too
     */
    static void write(HeatMap map, double gamma, Path file) {
        double largest = 0;
        for (int y = 0; y < map.height(); y++) {
            for (int x = 0; x < map.width(); x++) {
                largest = Math.max(largest, map.value(y, x));
            }
        }
        int across = Math.ceilDiv(LEAST, map.width());
        int down = Math.min(across, Math.ceilDiv(LEAST, map.height()));
        // a single row is a band that one can see
        down = Math.max(down, Math.ceilDiv(32, map.height()));
        BufferedImage image =
                new BufferedImage(map.width() * across, map.height() * down, BufferedImage.TYPE_INT_RGB);
        for (int y = 0; y < image.getHeight(); y++) {
            for (int x = 0; x < image.getWidth(); x++) {
                double value = map.value(y / down, x / across);
                image.setRGB(x, y, colour(value <= 0 ? 0 : Math.pow(value / largest, gamma)));
            }
        }
        try {
            ByteArrayOutputStream png = new ByteArrayOutputStream();
            ImageIO.write(image, "png", png);
            Files.write(file, png.toByteArray());
        } catch (IOException e) {
            throw new EngineException("--out: cannot write " + file + ": " + e.getMessage() + ".", e);
        }
    }

    private static int colour(double share) {
        double place = share * (COLOURS.length - 1);
        int below = (int) Math.min(place, COLOURS.length - 2);
        int rgb = 0;
        for (int channel = 0; channel < 3; channel++) {
            double from = COLOURS[below][channel];
            double to = COLOURS[below + 1][channel];
            rgb = rgb << 8 | (int) Math.round(from + (to - from) * (place - below));
        }
        return rgb;
    }
}
