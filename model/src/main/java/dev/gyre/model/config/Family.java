package dev.gyre.model.config;

/**
 * What config.json leaves unsaid, because all models of a family have it in common.
 *
 * @param sparse whether its models have an indexer where {@code index_topk} is present
 * @param interleavedIndexer whether the indexer's RoPE rotates pairs (2i, 2i+1) where {@code indexer_rope_interleave}
 *     is absent
 * @param compressedNormEps epsilon of the norms on compressed queries and latents; 0 for {@code rms_norm_eps}
 */
public record Family(boolean sparse, boolean interleavedIndexer, float compressedNormEps) {
    /** DeepSeek-V3: dense. DeepSeek's code leaves its two norms on compressed vectors at 1e-6. */
    public static final Family DEEPSEEK_V3 = new Family(false, false, 1e-6f);
    /** DeepSeek-V3.2: the same with an indexer, whose RoPE rotates halves. */
    public static final Family DEEPSEEK_V32 = new Family(true, false, 1e-6f);
    /**
     * GLM-5: DeepSeek-V3.2's decoder with an indexer whose RoPE is interleaved (transformers' glm_moe_dsa). SGLang and
     * vLLM give all its RMS norms the rms_norm_eps of 1e-5; transformers 5.18 leaves those on compressed vectors at
     * 1e-6, which its pull request 48762 calls a mistake.
     */
    public static final Family GLM_MOE_DSA = new Family(true, true, 0);
}
