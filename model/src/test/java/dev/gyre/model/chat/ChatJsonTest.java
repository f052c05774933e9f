package dev.gyre.model.chat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.node.DecimalNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.math.BigDecimal;
import java.util.Random;

/** JSON as Python writes it; the right-hand sides were written by Python 3.11. */
class ChatJsonTest {
    @ParameterizedTest
    @CsvSource({"1.0,1.0", "-0.0,-0.0", "1e-4,0.0001", "1e-5,1e-05", "123e-7,1.23e-05", "1e15,1000000000000000.0",
            "1e16,1e+16", "9999999999999998,9999999999999998.0", "12345678901234567,1.2345678901234568e+16",
            "0.1,0.1", "0.30000000000000004,0.30000000000000004", "4.9e-324,5e-324", "9.9e-324,1e-323", "2e-323,2e-323",
            "2.5e-323,2.5e-323", "1.7976931348623157e308,1.7976931348623157e+308", "2e23,2e+23", "1e23,1e+23",
            "-1.5e100,-1.5e+100", "10.0,10.0", "1e400,Infinity", "-1e400,-Infinity", "100.5,100.5"})
    void numbers(String number, String expected) {
        assertEquals(expected, PythonJson.number(Double.parseDouble(number)));
    }

    @Test
    void numbersAreReadBackTheSame() {
        var random = new Random(7);
        for (int i = 0; i < 50_000; i++) {
            double value = Double.longBitsToDouble(random.nextLong());
            if (Double.isFinite(value)) {
                assertEquals(value, Double.parseDouble(PythonJson.number(value)));
            }
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', value = {
        "{\"b\":1,\"a\":[1,2.50,-0,1E2,true,false,null],\"c\":{}};"
                + "{\"b\": 1, \"a\": [1, 2.5, 0, 100.0, true, false, null], \"c\": {}}",
        "[ ];[]",
        "[[],[{}],{\"\":\"\"}];[[], [{}], {\"\": \"\"}]",
        "123456789012345678901234567890;123456789012345678901234567890",
        "\"\\u00e9\\/\\ud83d\\ude00\\u007f\";\"é/😀\u007f\"",
        "\"\\b\\f\\n\\r\\t\\u0000\\u001F\\\"\\\\\";\"\\b\\f\\n\\r\\t\\u0000\\u001f\\\"\\\\\"",
    })
    void values(String json, String expected) {
        assertEquals(expected, PythonJson.write(PythonJson.parse(json).orElseThrow()));
    }

    @Test
    void nodesThatOthersMade() {
        assertEquals("1.5", PythonJson.write(DecimalNode.valueOf(new BigDecimal("1.500"))));
        assertEquals("100.0", PythonJson.write(DecimalNode.valueOf(new BigDecimal("1E2"))));
    }

    @Test
    void emptyTextIsNoValue() {
        assertTrue(PythonJson.parse("").isEmpty());
        assertTrue(PythonJson.parse(" \n").isEmpty());
        assertTrue(PythonJson.parse("1 2").isEmpty());
    }
}
