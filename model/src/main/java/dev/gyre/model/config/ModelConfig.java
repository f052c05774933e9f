package dev.gyre.model.config;

import dev.gyre.attention.EngineException;
import dev.gyre.attention.policy.IndexSharing;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The shape of a DeepSeek-V3-family model.
 *
 * @param architecture first of {@code architectures}
 * @param vocabulary tokens that have an embedding
 * @param hidden width of the residual stream
 * @param layers decoder layers that are run, without those for multi-token prediction; counted from 0
 * @param firstLayer number in the model of the first of them: 0 unless only a {@linkplain #slice slice} is run
 * @param mtpLayers layers for multi-token prediction that a checkpoint may carry behind the others; not run
 * @param mla attention
 * @param indexer null where the model is dense
 * @param intermediate inner width of a dense MLP
 * @param moe null where every layer has a dense MLP
 * @param normEps epsilon of the layer norms and the final norm
 * @param rope rotary embedding of attention and indexer
 * @param maxPositions longest context
 * @param tiedEmbeddings whether lm_head is the embedding table
 * @param blockRows rows of a block of FP8 weights that shares a scale
 * @param blockColumns columns of such a block
 */
public record ModelConfig(
        String architecture,
        int vocabulary,
        int hidden,
        int layers,
        int firstLayer,
        int mtpLayers,
        Mla mla,
        Indexer indexer,
        int intermediate,
        Moe moe,
        float normEps,
        Rope rope,
        int maxPositions,
        boolean tiedEmbeddings,
        int blockRows,
        int blockColumns) {
    private static final Pattern LAYER_TENSOR = Pattern.compile("model\\.layers\\.(\\d{1,9})\\.");

    /**
     * Multi-head Latent Attention.
     *
     * @param heads attention heads
     * @param qRank q_lora_rank; 0 where queries are projected directly
     * @param kvRank kv_lora_rank, the width of the cached latent
     * @param nope width of a head's query part without position
     * @param rope width of its rotary part
     * @param value width of a head's value
     * @param interleaved whether RoPE rotates pairs (2i, 2i+1), as DeepSeek's does, or (i, i + rope/2)
     * @param normEps epsilon of the norms on compressed queries and latents
     */
    public record Mla(
            int heads, int qRank, int kvRank, int nope, int rope, int value, boolean interleaved, float normEps) {
        /** Width of a head's query. */
        public int query() {
            return nope + rope;
        }
    }

    /**
     * The lightning indexer.
     *
     * @param heads index heads
     * @param dim index head dimension; its first {@code mla.rope} values are rotary
     * @param topk how many tokens a query attends to at most
     * @param interleaved whether its RoPE rotates pairs (2i, 2i+1), as GLM-5's does; DeepSeek-V3.2's rotates
     *     (i, i + rope/2)
     * @param sharing which layers run it; the others attend to what the last such layer selected
     */
    public record Indexer(int heads, int dim, int topk, boolean interleaved, IndexSharing sharing) {
        private Indexer slice(LayerRange range) {
            return new Indexer(heads, dim, topk, interleaved, sharing.slice(range.first(), range.count()));
        }
    }

    /**
     * Mixture of experts with group-limited routing.
     *
     * @param firstLayer layers before it have a dense MLP (first_k_dense_replace)
     * @param every of the layers from there on, those whose number is a multiple of this are MoE (moe_layer_freq)
     * @param experts routed experts
     * @param perToken experts chosen for a token
     * @param groups expert groups
     * @param groupsPerToken groups that a token's experts may come from
     * @param intermediate inner width of an expert
     * @param shared experts that serve every token, as one MLP of that many times the width
     * @param normalize whether the chosen weights are divided by their sum
     * @param scale factor on the chosen weights
     */
    public record Moe(
            int firstLayer,
            int every,
            int experts,
            int perToken,
            int groups,
            int groupsPerToken,
            int intermediate,
            int shared,
            boolean normalize,
            float scale) {}

    /**
     * Rotary position embedding.
     *
     * @param theta base of the frequencies
     * @param yarn null for plain RoPE
     */
    public record Rope(double theta, Yarn yarn) {}

    /**
     * YaRN (arXiv 2309.00071), with DeepSeek's two attention factors.
     *
     * @param factor how far the context is stretched
     * @param originalPositions the context that the model was first trained with
     * @param betaFast rotations above which a frequency is kept
     * @param betaSlow rotations below which it is divided by the factor
     * @param truncate whether the bounds of the ramp between are rounded outwards to whole dimensions
     * @param magnitude factor on cos and sin
     * @param scoreFactor factor on the softmax scale
     */
    public record Yarn(
            double factor,
            double originalPositions,
            double betaFast,
            double betaSlow,
            boolean truncate,
            double magnitude,
            double scoreFactor) {}

    /** Whether the model has an indexer and attends sparsely. */
    public boolean isSparse() {
        return indexer != null;
    }

    /** Whether a layer has experts rather than a dense MLP. */
    public boolean isMoe(int layer) {
        int number = firstLayer + layer;
        return moe != null && number >= moe.firstLayer() && number % moe.every() == 0;
    }

    /** The number in the model of the layer that a tensor belongs to; -1 where it is of none. */
    public static int layerOf(String tensor) {
        Matcher name = LAYER_TENSOR.matcher(tensor);
        return name.lookingAt() ? Integer.parseInt(name.group(1)) : -1;
    }

    /** What the names of a layer's tensors begin with. */
    public String prefix(int layer) {
        return "model.layers." + (firstLayer + layer) + ".";
    }

    /**
     * The same model with these of its layers alone, between embedding and head. Each stays what it is in the model:
     * dense or of experts, with an indexer or without.
     *
     * @throws EngineException where the model has no such layers, or where the first attends to what a layer before it
     *     selects
     */
    public ModelConfig slice(LayerRange range) {
        if (range.last() >= layers) {
            throw new EngineException(
                    "--layers " + range + " goes beyond the model, whose layers are 0.." + (layers - 1) + ".");
        }
        return new ModelConfig(
                architecture,
                vocabulary,
                hidden,
                range.count(),
                range.first(),
                mtpLayers,
                mla,
                indexer == null ? null : indexer.slice(range),
                intermediate,
                moe,
                normEps,
                rope,
                maxPositions,
                tiedEmbeddings,
                blockRows,
                blockColumns);
    }

    /** The softmax scale of attention: the width of a query to the -1/2, times YaRN's factor. */
    public float softmaxScale() {
        double scale = 1 / Math.sqrt(mla.query());
        return (float) (rope.yarn() == null ? scale : scale * rope.yarn().scoreFactor());
    }
}
