package dev.gyre.tornado;

import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.function.Supplier;

/**
 * A plan for each layer's cache, made when the layer first asks and ended with the cache.
 *
 * @param <C> the cache of a layer
 * @param <P> its plan
 */
final class LayerPlans<C, P extends LayerPlans.Plan> {
    private final Map<C, P> plans = new IdentityHashMap<>();
    /** Caches that will say when they close. */
    private final Set<C> told = Collections.newSetFromMap(new IdentityHashMap<>());
    private final BiConsumer<C, Runnable> onClose;

    /** What can be ended. */
    interface Plan {
        void close();
    }

    /** @param onClose has a cache do something when it closes */
    LayerPlans(BiConsumer<C, Runnable> onClose) {
        this.onClose = onClose;
    }

    /**
     * Works with the layer's plan.
     *
     * @param serves whether the plan that is there will do
     * @param make another one, started
     */
    void with(C cache, Predicate<P> serves, Supplier<P> make, Consumer<P> work) {
        P plan = plans.get(cache);
        if (plan == null || !serves.test(plan)) {
            close(cache); // first: where another one does not fit the device, none is left to be used
            plan = make.get();
            plans.put(cache, plan);
            if (told.add(cache)) {
                onClose.accept(cache, () -> {
                    told.remove(cache);
                    close(cache);
                });
            }
        }
        try {
            work.accept(plan);
        } catch (RuntimeException e) {
            close(cache); // a plan whose arrays are not all there must not run again
            throw e;
        }
    }

    private void close(C cache) {
        P plan = plans.remove(cache);
        if (plan != null) {
            plan.close();
        }
    }
}
