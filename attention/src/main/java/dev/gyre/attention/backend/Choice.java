package dev.gyre.attention.backend;

import dev.gyre.attention.EngineException;

import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Which provider serves which phase, by what the user asked for. */
final class Choice {
    private Choice() {}

    /**
     * Chooses by name; a phase that {@code asked} does not mention is {@code auto}. Where all are and a device is named,
     * its provider serves all. A provider that {@linkplain AttentionProvider#runsDecoder runs decoders} serves LINEAR only
     * with all other phases.
     */
    static Map<Phase, AttentionProvider> of(Providers providers, Map<Phase, String> asked, String device) {
        Map<Phase, String> names = new HashMap<>(asked);
        names.values().removeIf(Providers.AUTO::equals);
        if (device != null && names.isEmpty()) {
            String owner = owner(providers, device);
            Arrays.stream(Phase.values()).forEach(phase -> names.put(phase, owner));
        }
        Map<Phase, AttentionProvider> chosen = new EnumMap<>(Phase.class);
        String linear = names.get(Phase.LINEAR);
        if (linear != null) {
            AttentionProvider provider = providers.choose(Phase.LINEAR, linear);
            chosen.put(Phase.LINEAR, provider);
            if (provider.runsDecoder()) {
                names.forEach((phase, name) -> {
                    if (!name.equals(linear)) {
                        throw EngineException.usage(Phase.LINEAR.option() + " " + linear + " runs the whole decoder; "
                                + "leave " + phase.option() + " out or give it " + linear + " too.");
                    }
                });
                Arrays.stream(Phase.values()).forEach(phase -> names.put(phase, linear));
            }
        }
        for (Phase phase : Phase.values()) {
            if (phase != Phase.LINEAR) {
                chosen.put(phase, providers.choose(phase, names.getOrDefault(phase, Providers.AUTO)));
            }
        }
        if (linear == null) {
            AttentionProvider provider = providers.choose(Phase.LINEAR, Providers.AUTO);
            boolean fits = !provider.runsDecoder() || chosen.values().stream().allMatch(provider::equals);
            chosen.put(Phase.LINEAR, fits ? provider : providers.onThreads());
        }
        check(device, chosen);
        return chosen;
    }

    /** Who runs whole decoders on this device. */
    private static String owner(Providers providers, String device) {
        List<AttentionProvider> able = providers.all().stream()
                .filter(provider -> provider.runsDecoder() && provider.missing().isEmpty())
                .toList();
        return able.stream()
                .filter(provider -> provider.devices().stream().anyMatch(known -> known.is(device)))
                .map(AttentionProvider::name)
                .findFirst()
                .orElseThrow(() -> absent(
                        device, able.stream().flatMap(provider -> provider.devices().stream()).toList()));
    }

    private static void check(String device, Map<Phase, AttentionProvider> chosen) {
        if (device == null) {
            return;
        }
        List<Device> known = chosen.values().stream().distinct()
                .flatMap(provider -> provider.devices().stream())
                .toList();
        if (known.stream().noneMatch(one -> one.is(device))) {
            throw absent(device, known);
        }
    }

    private static EngineException absent(String device, List<Device> known) {
        return EngineException.usage(known.isEmpty()
                ? "--device " + device + " needs an implementation that runs on devices; use for example "
                        + "--dsa-decode-backend tornado, and see 'engine devices'."
                : "--device " + device + " is not there; use one of "
                        + String.join(", ", known.stream().map(Device::id).toList())
                        + ", which 'engine devices' describes.");
    }
}
