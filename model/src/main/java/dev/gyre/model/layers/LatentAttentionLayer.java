package dev.gyre.model.layers;

import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.checkpoint.WeightSource;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.MlaShape;
import dev.gyre.model.ops.Ops;
import dev.gyre.model.ops.RopeTable;
import dev.gyre.model.ops.Step;

/**
 * Multi-head Latent Attention in its absorbed form (arXiv 2405.04434, section 2.1), over what the indexer selects.
 *
 * <pre>
 * c_q = RMSNorm(q_a x);  q = q_b c_q                       per head [nope | rope], the rope part rotated
 * [c | k_r] = kv_a x;    c = RMSNorm(c), k_r = RoPE(k_r)   cached: [latent | rope], one row for all heads
 * o = softmax(scale * (q_nope W_UK . c + q_rope . k_r)) c W_UV,  then o_proj
 * </pre>
 */
final class LatentAttentionLayer {
    private final int layer;
    private final ModelConfig.Mla mla;
    private final MlaShape shape;
    private final RopeTable rope;
    private final Weight queryDown;
    private final Weight queryNorm;
    private final Weight queryUp;
    private final Weight kvDown;
    private final Weight kvNorm;
    private final Weight kvUp;
    private final Weight outProjection;
    /** null where the layer does not run one. */
    private final Indexer indexer;

    LatentAttentionLayer(
            WeightSource source,
            int layer,
            ModelConfig model,
            RopeTable rope,
            RopeTable indexRope,
            boolean runsIndexer) {
        String prefix = model.prefix(layer) + "self_attn.";
        this.layer = layer;
        this.rope = rope;
        mla = model.mla();
        shape = MlaShape.of(model);
        int queryWidth = Math.multiplyExact(mla.heads(), mla.query());
        if (mla.qRank() > 0) {
            queryDown = source.matrix(prefix + "q_a_proj.weight", mla.qRank(), model.hidden());
            queryNorm = source.vector(prefix + "q_a_layernorm.weight", mla.qRank());
            queryUp = source.matrix(prefix + "q_b_proj.weight", queryWidth, mla.qRank());
        } else {
            queryDown = null;
            queryNorm = null;
            queryUp = source.matrix(prefix + "q_proj.weight", queryWidth, model.hidden());
        }
        kvDown = source.matrix(prefix + "kv_a_proj_with_mqa.weight", mla.kvRank() + mla.rope(), model.hidden());
        kvNorm = source.vector(prefix + "kv_a_layernorm.weight", mla.kvRank());
        kvUp = source.matrix(
                prefix + "kv_b_proj.weight", Math.multiplyExact(mla.heads(), mla.nope() + mla.value()), mla.kvRank());
        outProjection = source.matrix(
                prefix + "o_proj.weight", model.hidden(), Math.multiplyExact(mla.heads(), mla.value()));
        indexer = indexer(source, layer, model, indexRope, runsIndexer);
    }

    /** A layer that shares another's selection may come with weights of an indexer: they belong to the model. */
    private static Indexer indexer(
            WeightSource source, int layer, ModelConfig model, RopeTable rope, boolean runsIndexer) {
        String prefix = model.prefix(layer) + "self_attn.indexer.";
        boolean expected = runsIndexer || model.isSparse() && model.indexer().sharing().runs(layer);
        if (!expected && !(model.isSparse() && source.has(prefix + "wk.weight"))) {
            return null;
        }
        Indexer indexer = new Indexer(source, prefix, model, rope);
        return runsIndexer ? indexer : null;
    }

    /** {@code work.output} = attention of {@code work.normed}; the step's latents and index keys are cached. */
    void forward(Ops ops, Step step, Workspace work) {
        int rows = step.rows().rows();
        if (queryDown == null) {
            ops.linear(rows, work.normed, queryUp, work.queries);
        } else {
            ops.linear(rows, work.normed, queryDown, work.compressed);
            ops.rmsNorm(rows, work.compressed, queryNorm, mla.normEps(), work.compressed);
            ops.linear(rows, work.compressed, queryUp, work.queries);
        }
        ops.rope(step, work.queries, mla.heads(), mla.nope(), rope, mla.interleaved());

        ops.linear(rows, work.normed, kvDown, work.kv);
        ops.rmsNorm(rows, work.latent, kvNorm, mla.normEps(), work.latent);
        ops.rope(step, work.ropeKey, 1, 0, rope, mla.interleaved());

        if (indexer != null) {
            indexer.project(ops, step, work);
        }
        ops.append(step, layer, work.kv, indexer == null ? null : work.indexKeys);

        ops.absorb(rows, work.queries, kvUp, shape, work.latentQueries);
        ops.attend(step, layer, work.latentQueries, shape, indexer == null ? null : work.index, work.attended);
        ops.expand(rows, work.attended, kvUp, shape, work.values);
        ops.linear(rows, work.values, outProjection, work.output);
    }
}
