package dev.gyre.attention.cache;

/**
 * What one token needs in one layer.
 *
 * @param latent width of the compressed latent (kv_lora_rank)
 * @param rope width of the shared rotary key
 * @param index width of the index key; 0 where a model has no indexer
 */
public record CacheShape(int latent, int rope, int index) {
    /** Values of one cached latent row: {@code [latent | rope]}. */
    public int width() {
        return latent + rope;
    }

    /** Bytes of one token's latent row. */
    public int latentBytes(CacheDtype dtype) {
        return switch (dtype) {
            case F32 -> Math.multiplyExact(width(), Float.BYTES);
            case BF16 -> Math.multiplyExact(width(), Short.BYTES);
            case FP8_E4M3 ->
                Math.addExact(latent, Math.ceilDiv(latent, Fp8Tile.SIZE) * Float.BYTES + rope * Short.BYTES);
        };
    }

    /** Bytes of one token's index key. */
    public int indexBytes(CacheDtype dtype) {
        return switch (dtype) {
            case F32 -> Math.multiplyExact(index, Float.BYTES);
            case BF16 -> Math.multiplyExact(index, Short.BYTES);
            case FP8_E4M3 -> Math.addExact(index, Math.ceilDiv(index, Fp8Tile.SIZE) * Float.BYTES);
        };
    }
}
