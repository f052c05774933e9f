package dev.gyre.model.layers;

import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.checkpoint.WeightSource;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.Ops;
import dev.gyre.model.ops.RopeTable;
import dev.gyre.model.ops.Step;

/**
 * The lightning indexer's projections (arXiv 2512.02556, section 2.1).
 *
 * <pre>
 * q = RoPE(wq_b c_q)                [rows, heads, dim]   c_q is the compressed query that MLA uses too
 * k = RoPE(LayerNorm(wk x))         [rows, dim]          one key for all heads
 * w = weights_proj x * heads^-1/2 * dim^-1/2
 * </pre>
 *
 * RoPE rotates the first {@code qk_rope_head_dim} values: DeepSeek-V3.2's by halves (i, i + 32), and interleaving
 * them is the best-known bug of the field; GLM-5's interleaved (2i, 2i + 1).
 */
final class Indexer {
    /** Of k_norm, whatever rms_norm_eps says (DeepSeek's, Hugging Face's, SGLang's and vLLM's code). */
    private static final float NORM_EPS = 1e-6f;

    private final ModelConfig.Indexer config;
    private final RopeTable rope;
    private final Weight queryProjection;
    private final Weight keyProjection;
    private final Weight keyNorm;
    private final Weight keyNormBias;
    private final Weight weightsProjection;

    Indexer(WeightSource source, String prefix, ModelConfig model, RopeTable rope) {
        config = model.indexer();
        this.rope = rope;
        int hidden = model.hidden();
        queryProjection = source.matrix(
                prefix + "wq_b.weight", Math.multiplyExact(config.heads(), config.dim()), model.mla().qRank());
        keyProjection = source.matrix(prefix + "wk.weight", config.dim(), hidden);
        keyNorm = source.vector(prefix + "k_norm.weight", config.dim());
        keyNormBias = source.vector(prefix + "k_norm.bias", config.dim());
        weightsProjection = source.matrix(prefix + "weights_proj.weight", config.heads(), hidden);
    }

    /** Fills {@code work.indexKeys} and {@code work.index} from {@code work.normed} and {@code work.compressed}. */
    void project(Ops ops, Step step, Workspace work) {
        int rows = step.rows().rows();
        ops.linear(rows, work.normed, keyProjection, work.indexKeys);
        ops.layerNorm(rows, work.indexKeys, keyNorm, keyNormBias, NORM_EPS, work.indexKeys);
        ops.rope(step, work.indexKeys, 1, 0, rope, config.interleaved());
        ops.linear(rows, work.compressed, queryProjection, work.index.queries());
        ops.rope(step, work.index.queries(), config.heads(), 0, rope, config.interleaved());
        ops.linear(rows, work.normed, weightsProjection, work.index.weights());
        ops.scale(rows, work.index.weights(), (float) (1 / Math.sqrt((double) config.heads() * config.dim())));
    }
}
