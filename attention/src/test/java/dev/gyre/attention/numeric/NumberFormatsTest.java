package dev.gyre.attention.numeric;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.Random;

class NumberFormatsTest {
    @Test
    void fp8KnownValues() {
        assertEquals(448f, Fp8E4M3.decode((byte) 0x7e));
        assertEquals(-448f, Fp8E4M3.decode((byte) 0xfe));
        assertEquals(0x1p-9f, Fp8E4M3.decode((byte) 0x01));
        assertEquals(0x1p-6f, Fp8E4M3.decode((byte) 0x08));
        assertEquals(1f, Fp8E4M3.decode((byte) 0x38));
        assertEquals(-1.875f, Fp8E4M3.decode((byte) 0xbf));
        assertTrue(Float.isNaN(Fp8E4M3.decode((byte) 0x7f)));
        assertTrue(Float.isNaN(Fp8E4M3.decode((byte) 0xff)));
        assertEquals(0x80000000, Float.floatToRawIntBits(Fp8E4M3.decode((byte) 0x80)));
    }

    @Test
    void fp8EncodesToTheNearestAndTiesToEven() {
        for (int code = 0; code < 256; code++) {
            float value = Fp8E4M3.decode((byte) code);
            assertEquals(code, Fp8E4M3.encode(value) & 0xff, "code " + code);
            if ((code & 0x7f) < 0x7e) {
                float next = Fp8E4M3.decode((byte) (code + 1));
                float middle = (value + next) / 2;
                int even = code % 2 == 0 ? code : code + 1;
                assertEquals(even, Fp8E4M3.encode(middle) & 0xff, "between " + value + " and " + next);
                assertEquals(code, Fp8E4M3.encode(middle * 0.9999f + value * 0.0001f) & 0xff);
                assertEquals(code + 1, Fp8E4M3.encode(middle * 0.9999f + next * 0.0001f) & 0xff);
            }
        }
        assertEquals(0x7e, Fp8E4M3.encode(Float.POSITIVE_INFINITY));
        assertEquals(0xfe, Fp8E4M3.encode(-1e9f) & 0xff);
    }

    @Test
    void bf16RoundsToNearestEven() {
        assertEquals((short) 0x3f80, Bf16.encode(1f));
        assertEquals((short) 0x3f80, Bf16.encode(1f + 0x1p-8f)); // a tie; the even neighbour is below
        assertEquals((short) 0x3f82, Bf16.encode(1f + 3 * 0x1p-8f)); // a tie; the even neighbour is above
        assertEquals((short) 0x7f80, Bf16.encode(Float.MAX_VALUE));
        assertTrue(Float.isNaN(Bf16.decode(Bf16.encode(Float.intBitsToFloat(0x7f800001)))));
        Random random = new Random(1);
        for (int i = 0; i < 10_000; i++) {
            float value = Float.intBitsToFloat(random.nextInt());
            if (Float.isFinite(value) && Math.abs(value) < 1e38f && Math.abs(value) > 1e-37f) {
                assertEquals(value, Bf16.decode(Bf16.encode(value)), Math.abs(value) * 0x1p-8f);
            }
        }
    }
}
