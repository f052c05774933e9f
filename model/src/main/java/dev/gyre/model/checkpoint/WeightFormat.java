package dev.gyre.model.checkpoint;

import dev.gyre.model.config.Fields;
import dev.gyre.model.config.ModelConfig;

/**
 * The formats that a model's checkpoint has its weights in, by its config.json.
 *
 * @param dtype of what is not FP8
 * @param fp8 whether the projections of its layers are FP8 in blocks with a scale each
 * @param blockRows rows of such a block
 * @param blockColumns columns of such a block
 */
public record WeightFormat(DType dtype, boolean fp8, int blockRows, int blockColumns) {
    /** The formats that {@code quantization_config} and {@code dtype}, formerly {@code torch_dtype}, call for. */
    public static WeightFormat read(Fields json, ModelConfig config) {
        String field = json.has("dtype") ? "dtype" : "torch_dtype";
        DType dtype = switch (json.text(field, "bfloat16")) {
            case "bfloat16" -> DType.BF16;
            case "float16" -> DType.F16;
            case "float32" -> DType.F32;
            default -> throw json.unsupported(field, "bfloat16, float16, float32");
        };
        boolean fp8 = json.object("quantization_config") != null;
        return new WeightFormat(dtype, fp8, config.blockRows(), config.blockColumns());
    }

    /**
     * The format of a tensor. As in DeepSeek's checkpoints embedding, head, norms, routers and the indexer's
     * weights_proj are not quantized, and the routers' correction is f32.
     */
    DType of(String name, boolean matrix) {
        if (name.endsWith("e_score_correction_bias")) {
            return DType.F32;
        }
        boolean projection = matrix
                && name.startsWith("model.layers.")
                && !name.endsWith("mlp.gate.weight")
                && !name.endsWith("weights_proj.weight");
        return fp8 && projection ? DType.F8_E4M3 : dtype;
    }
}
