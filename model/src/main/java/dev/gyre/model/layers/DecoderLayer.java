package dev.gyre.model.layers;

import dev.gyre.model.checkpoint.Weight;
import dev.gyre.model.checkpoint.WeightSource;
import dev.gyre.model.config.ModelConfig;
import dev.gyre.model.ops.MlpWeights;
import dev.gyre.model.ops.MoeWeights;
import dev.gyre.model.ops.Ops;
import dev.gyre.model.ops.RopeTable;
import dev.gyre.model.ops.Step;

import java.util.ArrayList;
import java.util.List;

/** {@code x += attention(norm(x)); x += mlp(norm(x))}, the MLP dense or a mixture of experts. */
final class DecoderLayer {
    private final float eps;
    private final Weight inputNorm;
    private final LatentAttentionLayer attention;
    private final Weight mlpNorm;
    private final MlpWeights mlp;
    private final MoeWeights moe;

    /** @param runsIndexer whether the layer selects with its indexer */
    DecoderLayer(
            WeightSource source,
            int layer,
            ModelConfig model,
            RopeTable rope,
            RopeTable indexRope,
            boolean runsIndexer) {
        String prefix = model.prefix(layer);
        eps = model.normEps();
        inputNorm = source.vector(prefix + "input_layernorm.weight", model.hidden());
        attention = new LatentAttentionLayer(source, layer, model, rope, indexRope, runsIndexer);
        mlpNorm = source.vector(prefix + "post_attention_layernorm.weight", model.hidden());
        boolean sparse = model.isMoe(layer);
        mlp = sparse ? null : mlp(source, prefix + "mlp.", model.hidden(), model.intermediate());
        moe = sparse ? moe(source, prefix + "mlp.", model) : null;
    }

    private static MlpWeights mlp(WeightSource source, String prefix, int hidden, int inner) {
        return new MlpWeights(
                source.matrix(prefix + "gate_proj.weight", inner, hidden),
                source.matrix(prefix + "up_proj.weight", inner, hidden),
                source.matrix(prefix + "down_proj.weight", hidden, inner));
    }

    private static MoeWeights moe(WeightSource source, String prefix, ModelConfig model) {
        ModelConfig.Moe moe = model.moe();
        Weight gate = source.matrix(prefix + "gate.weight", moe.experts(), model.hidden());
        Weight bias = source.vector(prefix + "gate.e_score_correction_bias", moe.experts());
        List<MlpWeights> experts = new ArrayList<>();
        for (int e = 0; e < moe.experts(); e++) {
            experts.add(mlp(source, prefix + "experts." + e + ".", model.hidden(), moe.intermediate()));
        }
        MlpWeights shared = moe.shared() == 0 ? null : mlp(
                source,
                prefix + "shared_experts.",
                model.hidden(),
                Math.multiplyExact(moe.shared(), moe.intermediate()));
        return new MoeWeights(moe, gate, bias, List.copyOf(experts), shared);
    }

    void forward(Ops ops, Step step, Workspace work) {
        int rows = step.rows().rows();
        ops.rmsNorm(rows, work.stream, inputNorm, eps, work.normed);
        attention.forward(ops, step, work);
        ops.add(rows, work.output, work.stream);

        ops.rmsNorm(rows, work.stream, mlpNorm, eps, work.normed);
        if (moe != null) {
            ops.moe(rows, work.normed, moe, work.output);
        } else {
            ops.linear(rows, work.normed, mlp.gate(), work.gate);
            ops.linear(rows, work.normed, mlp.up(), work.up);
            ops.swiGlu(rows, work.gate, work.up, work.gate);
            ops.linear(rows, work.gate, mlp.down(), work.output);
        }
        ops.add(rows, work.output, work.stream);
    }
}
