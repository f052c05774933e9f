package dev.gyre.launcher;

import dev.gyre.model.checkpoint.ModelFiles;
import picocli.CommandLine.Option;

import java.nio.file.Path;

/** The option that every command has that touches a model. */
public final class ModelFlag {
    @Option(names = "--model", paramLabel = "DIR", description = "model folder (default: the embedded tiny-v32)")
    private Path model;

    /** The folder; null for the embedded model. */
    public Path path() {
        return model;
    }

    /** The folder's name, or the embedded model's. */
    String name() {
        return model == null ? "tiny-v32" : model.toAbsolutePath().normalize().getFileName().toString();
    }

    /** The model's files. */
    ModelFiles files() {
        return model == null ? ModelFiles.embedded() : ModelFiles.folder(model);
    }
}
