/** The configuration of a model: Hugging Face's {@code config.json} as validated records. Uses Jackson. */
package dev.gyre.model.config;
