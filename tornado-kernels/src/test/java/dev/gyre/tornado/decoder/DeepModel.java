package dev.gyre.tornado.decoder;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.gyre.attention.numeric.Bf16;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;

/** A model of many layers, all of experts, shaped like the second layer of another model; random bf16 weights. */
final class DeepModel {
    private static final String PATTERN = "model.layers.1.";

    private final ObjectNode header = new ObjectMapper().createObjectNode();
    private final ByteArrayOutputStream data = new ByteArrayOutputStream();
    private final Random random = new Random(12);

    private DeepModel() {}

    static void write(Path pattern, int layers, Path folder) throws IOException {
        ObjectMapper json = new ObjectMapper();
        ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(pattern.resolve("model.safetensors")))
                .order(ByteOrder.LITTLE_ENDIAN);
        JsonNode tensors = json.readTree(file.array(), 8, (int) file.getLong());
        DeepModel model = new DeepModel();
        tensors.properties().forEach(tensor -> {
            String name = tensor.getKey();
            if (name.startsWith(PATTERN)) {
                for (int layer = 0; layer < layers; layer++) {
                    model.add("model.layers." + layer + "." + name.substring(PATTERN.length()), tensor.getValue());
                }
            } else if (name.endsWith(".weight") && !name.startsWith("model.layers.")) {
                model.add(name, tensor.getValue());
            }
        });
        byte[] head = model.header.toString().getBytes(StandardCharsets.UTF_8);
        byte[] body = model.data.toByteArray();
        Files.write(folder.resolve("model.safetensors"), ByteBuffer.allocate(8 + head.length + body.length)
                .order(ByteOrder.LITTLE_ENDIAN).putLong(head.length).put(head).put(body).array());
        ObjectNode config = (ObjectNode) json.readTree(pattern.resolve("config.json").toFile());
        config.put("num_hidden_layers", layers).put("first_k_dense_replace", 0);
        Files.writeString(folder.resolve("config.json"), config.toString());
    }

    private void add(String name, JsonNode like) {
        int count = 1;
        for (JsonNode dimension : like.get("shape")) {
            count *= dimension.asInt();
        }
        double mean = name.contains("norm") ? 1 : 0;
        double deviation = like.get("shape").size() == 2 ? 1 / Math.sqrt(like.get("shape").get(1).asInt()) : 0.1;
        ByteBuffer values = ByteBuffer.allocate(count * Short.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < count; i++) {
            values.putShort(Bf16.encode((float) (mean + deviation * random.nextGaussian())));
        }
        ObjectNode entry = header.putObject(name).put("dtype", "BF16").set("shape", like.get("shape"));
        entry.putArray("data_offsets").add(data.size()).add(data.size() + values.capacity());
        data.writeBytes(values.array());
    }
}
