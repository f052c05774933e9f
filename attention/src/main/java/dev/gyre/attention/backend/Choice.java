package dev.gyre.attention.backend;

import dev.gyre.attention.EngineException;

import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Which provider serves which phase, by what the user asked for. */
final class Choice {
    private Choice() {}

    /**
     * Chooses by name; a phase that {@code asked} does not mention is {@code auto}. Where all are and devices are named,
     * their provider serves all. A provider that {@linkplain AttentionProvider#runsDecoder runs decoders} serves LINEAR
     * only with all other phases.
     */
    static Map<Phase, AttentionProvider> of(Providers providers, Map<Phase, String> asked, List<String> devices) {
        Map<Phase, String> names = new HashMap<>(asked);
        names.values().removeIf(Providers.AUTO::equals);
        if (!devices.isEmpty() && names.isEmpty()) {
            String owner = owner(providers, devices);
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
        check(devices, chosen);
        return chosen;
    }

    /** Who runs whole decoders on the first of these devices. */
    private static String owner(Providers providers, List<String> devices) {
        List<AttentionProvider> able = providers.all().stream()
                .filter(provider -> provider.runsDecoder() && provider.missing().isEmpty())
                .toList();
        return able.stream()
                .filter(provider -> has(provider.devices(), devices.getFirst()))
                .map(AttentionProvider::name)
                .findFirst()
                .orElseThrow(() -> absent(devices, able));
    }

    private static boolean has(List<Device> known, String device) {
        return known.stream().anyMatch(one -> one.is(device));
    }

    private static void check(List<String> devices, Map<Phase, AttentionProvider> chosen) {
        if (devices.isEmpty()) {
            return;
        }
        if (devices.size() > 1 && !chosen.get(Phase.LINEAR).runsDecoder()) {
            throw EngineException.usage("--devices shares out the layers of a model that runs on devices as a whole; "
                    + "leave out what names other implementations, or give one --device.");
        }
        List<AttentionProvider> providers = chosen.values().stream().distinct().toList();
        List<Device> known = known(providers);
        Set<String> taken = new HashSet<>();
        for (String device : devices) {
            String id = known.stream().filter(one -> one.is(device)).map(Device::id).findFirst()
                    .orElseThrow(() -> absent(devices, providers));
            if (!taken.add(id)) {
                throw EngineException.usage(
                        "--devices names the device " + id + " twice; it takes one part of the layers.");
            }
        }
    }

    private static List<Device> known(List<AttentionProvider> providers) {
        return providers.stream().flatMap(provider -> provider.devices().stream()).toList();
    }

    private static EngineException absent(List<String> devices, List<AttentionProvider> providers) {
        List<Device> known = known(providers);
        String option = devices.size() == 1 ? "--device " : "--devices ";
        if (known.isEmpty()) {
            return EngineException.usage(option + String.join(",", devices) + " needs an implementation that runs on "
                    + "devices; use for example " + (devices.size() == 1 ? "--dsa-decode-backend" : "--linear-backend")
                    + " tornado, and see 'engine devices'.");
        }
        String device = devices.stream().filter(one -> !has(known, one)).findFirst().orElseThrow();
        return EngineException.usage(option + device + " is not there; use one of "
                + String.join(", ", known.stream().map(Device::id).toList()) + ", which 'engine devices' describes.");
    }
}
