package dev.gyre.launcher;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.type;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import dev.gyre.attention.EngineException;
import dev.gyre.attention.backend.AttentionProvider;
import dev.gyre.attention.backend.Providers;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.List;
import java.util.Set;

/**
 * Arrows point one way: from launcher to model to attention, and inside model from generation down to config. Beside
 * the launcher stand the kernels for TornadoVM, in builds that have them.
 */
class ArchitectureTest {
    private static final JavaClasses GYRE = new ClassFileImporter()
            .withImportOption(new ImportOption.DoNotIncludeTests())
            .importPackages("dev.gyre");
    private static final String MODEL = "dev.gyre.model.";
    private static final String TORNADO = "dev.gyre.tornado..";
    private static final String[] BELOW_LAYERS = {
        "dev.gyre.attention..", MODEL + "config..", MODEL + "checkpoint..", MODEL + "ops"
    };
    /** Calls that read settings of the process or end it. */
    private static final Set<String> PROCESS_CALLS = Set.of(
            "java.lang.System.getenv",
            "java.lang.System.getProperty",
            "java.lang.System.getProperties",
            "java.lang.System.setProperty",
            "java.lang.System.exit",
            "java.lang.Runtime.exit",
            "java.lang.Runtime.halt",
            "java.lang.Boolean.getBoolean",
            "java.lang.Integer.getInteger",
            "java.lang.Long.getLong");

    /** A rule about no classes at all would hold. */
    @ParameterizedTest
    @ValueSource(strings = {
        "dev.gyre.attention", "dev.gyre.attention.backend", "dev.gyre.attention.cache", "dev.gyre.attention.numeric",
        "dev.gyre.attention.hisparse", "dev.gyre.attention.policy", "dev.gyre.attention.reference",
        "dev.gyre.launcher", "dev.gyre.launcher.experiment", "dev.gyre.launcher.server", "dev.gyre.model",
        "dev.gyre.model.arch", "dev.gyre.model.chat", "dev.gyre.model.engine",
        "dev.gyre.model.checkpoint", "dev.gyre.model.config", "dev.gyre.model.generate", "dev.gyre.model.layers",
        "dev.gyre.model.ops", "dev.gyre.model.ops.cpu", "dev.gyre.model.research", "dev.gyre.model.tokenizer",
    })
    void everyPackageWasImported(String name) {
        List<JavaClass> found = GYRE.stream().filter(type -> type.getPackageName().equals(name)).toList();
        assertTrue(found.size() > 1, name + ": " + found);
        assertTrue(found.stream().anyMatch(type -> type.getSimpleName().equals("package-info")), name);
    }

    @Test
    void testsWereNotImported() {
        assertFalse(GYRE.contain(ArchitectureTest.class));
    }

    @Test
    void rulesFindViolations() {
        assertThrows(AssertionError.class, () -> usesOnly("dev.gyre.model.."));
        assertThrows(AssertionError.class, () -> usesOnly(MODEL + "generate..", BELOW_LAYERS));
    }

    @Test
    void nobodyUsesTheLauncher() {
        noClasses().that(not(resideInAPackage("dev.gyre.launcher..")))
                .should()
                .dependOnClassesThat(resideInAPackage("dev.gyre.launcher.."))
                .check(GYRE);
    }

    @Test
    void attentionUsesNothingElse() {
        usesOnly("dev.gyre.attention..");
    }

    @Test
    void modelUsesAttention() {
        usesOnly("dev.gyre.model..", "dev.gyre.attention..");
    }

    @Test
    void tornadoUsesModelAndAttention() {
        usesOnly(TORNADO, "dev.gyre.model..", "dev.gyre.attention..");
    }

    @Test
    void nobodyUsesTornado() {
        noClasses().that(not(resideInAPackage(TORNADO)))
                .should()
                .dependOnClassesThat(resideInAnyPackage(TORNADO, "uk.ac.manchester.tornado.."))
                .check(GYRE);
    }

    /** Without it, the rules about it hold of nothing. */
    @Test
    void tornadoIsThereWhereItWasBuilt() {
        boolean built = Providers.load().all().stream().anyMatch(one -> one.name().equals(Providers.TORNADO));
        assertEquals(built, GYRE.stream().anyMatch(type -> type.getPackageName().startsWith("dev.gyre.tornado")));
    }

    @Test
    void configUsesNothingElseOfTheModel() {
        usesOnly(MODEL + "config..", "dev.gyre.attention..");
    }

    @Test
    void checkpointUsesConfig() {
        usesOnly(MODEL + "checkpoint..", "dev.gyre.attention..", MODEL + "config..");
    }

    @Test
    void operationsDoNotKnowWhoCarriesThemOut() {
        usesOnly(MODEL + "ops", "dev.gyre.attention..", MODEL + "config..", MODEL + "checkpoint..");
    }

    @Test
    void layersDoNotKnowWhoCarriesThemOut() {
        usesOnly(MODEL + "layers..", BELOW_LAYERS);
    }

    @Test
    void cpuOperationsKnowNoLayers() {
        usesOnly(MODEL + "ops.cpu..", BELOW_LAYERS);
    }

    @Test
    void tokenizerStandsAlone() {
        classes().that(resideInAPackage(MODEL + "tokenizer.."))
                .should()
                .onlyDependOnClassesThat(
                        resideInAnyPackage("java..", "com.fasterxml.jackson..", MODEL + "tokenizer..")
                                .or(type(EngineException.class)))
                .check(GYRE);
    }

    @Test
    void chatUsesTheTokenizerAlone() {
        usesOnly(MODEL + "chat..", "dev.gyre.attention..", MODEL + "tokenizer..");
    }

    @Test
    void nobodyBelowUsesTheEngineThatManyShare() {
        noClasses().that(resideInAnyPackage(MODEL + "generate..", MODEL + "chat..", MODEL + "layers.."))
                .should()
                .dependOnClassesThat(resideInAPackage(MODEL + "engine.."))
                .check(GYRE);
    }

    @Test
    void policiesKnowNoImplementations() {
        usesOnly("dev.gyre.attention.policy..", "dev.gyre.attention", "dev.gyre.attention.cache..");
    }

    @Test
    void nobodyBelowUsesWhatMeasures() {
        noClasses().that(resideInAPackage("dev.gyre.model..").and(not(resideInAPackage(MODEL + "research.."))))
                .should()
                .dependOnClassesThat(resideInAPackage(MODEL + "research.."))
                .check(GYRE);
    }

    @Test
    void theExperimentKnowsNoCommands() {
        usesOnly("dev.gyre.launcher.experiment..", "dev.gyre.model..", "dev.gyre.attention..");
    }

    @Test
    void theServerKnowsNoCommands() {
        usesOnly("dev.gyre.launcher.server..", "dev.gyre.model..", "dev.gyre.attention..");
    }

    /** The others find implementations through ServiceLoader, so one can be left out or added. */
    @Test
    void implementationsOfAttentionAreUsedByNobody() {
        List<JavaClass> providers = GYRE.stream()
                .filter(type -> type.isAssignableTo(AttentionProvider.class) && !type.isInterface())
                .toList();
        assertTrue(providers.stream().anyMatch(type -> type.getPackageName().equals("dev.gyre.attention.reference")));
        for (JavaClass provider : providers) {
            String home = provider.getPackageName() + "..";
            noClasses().that(not(resideInAPackage(home)))
                    .should()
                    .dependOnClassesThat(resideInAPackage(home))
                    .check(GYRE);
        }
    }

    /** But for one class, which knows what TornadoVM reads from the system's properties. */
    @Test
    void onlyTheLauncherReadsSettingsOrEndsTheProcess() {
        List<String> calls = GYRE.stream()
                .flatMap(type -> type.getMethodCallsFromSelf().stream())
                .filter(call -> PROCESS_CALLS.contains(
                        call.getTargetOwner().getName() + "." + call.getTarget().getName()))
                .filter(call -> !(call.getOriginOwner().getName().equals("dev.gyre.tornado.graph.Settings")
                        && Set.of("getProperty", "setProperty").contains(call.getTarget().getName())))
                .map(call -> call.getOriginOwner().getPackageName())
                .distinct()
                .toList();
        assertEquals(List.of("dev.gyre.launcher"), calls);
    }

    @Test
    void publicClassesAreClosed() {
        List<String> open = GYRE.stream()
                .filter(type -> type.isTopLevelClass() && type.getModifiers().contains(JavaModifier.PUBLIC))
                .filter(type -> !type.isInterface() && !type.isEnum() && !type.isRecord())
                .filter(type -> !type.getModifiers().contains(JavaModifier.FINAL) && !type.reflect().isSealed())
                .map(JavaClass::getName)
                .toList();
        assertEquals(List.of(), open);
    }

    /** Of Gyre, a package uses itself and what is named here. */
    private static void usesOnly(String name, String... others) {
        noClasses().that(resideInAPackage(name))
                .should()
                .dependOnClassesThat(resideInAPackage("dev.gyre..")
                        .and(not(resideInAPackage(name)))
                        .and(not(resideInAnyPackage(others))))
                .allowEmptyShould(true)
                .check(GYRE);
    }
}
