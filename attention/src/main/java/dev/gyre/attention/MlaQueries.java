package dev.gyre.attention;

/**
 * Queries of absorbed Multi-head Latent Attention: every head scores the cached row {@code [latent | rope]} as it is.
 *
 * @param queries {@code [rows, heads, latent + rope]}: q_nope times W_UK, then the rotated q_rope
 * @param heads attention heads
 * @param latent width of the compressed latent (kv_lora_rank); also the width of a head's output
 * @param rope width of the shared rotary key
 * @param scale softmax scale
 */
public record MlaQueries(float[] queries, int heads, int latent, int rope, float scale) {
    /** Width of a query and of a cached row. */
    public int width() {
        return latent + rope;
    }
}
