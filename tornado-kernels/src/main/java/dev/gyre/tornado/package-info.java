/**
 * The implementation named {@code tornado}: scoring, top-k and latent attention on a device, found through
 * {@link java.util.ServiceLoader} and silent where TornadoVM is not running. The host's caches stay the truth; pages that
 * changed are sent to copies on the device before they are read.
 */
package dev.gyre.tornado;
