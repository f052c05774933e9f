package dev.gyre.benchmarks.spark;

import dev.gyre.attention.EngineException;
import dev.gyre.launcher.EngineFlags;
import dev.gyre.launcher.Main;
import dev.gyre.launcher.Progress;
import dev.gyre.launcher.SweepFlags;
import dev.gyre.launcher.experiment.Cell;
import dev.gyre.launcher.experiment.CellResult;
import dev.gyre.launcher.experiment.CellRunner;
import dev.gyre.launcher.experiment.Experiment;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import scala.Function1;
import scala.Function2;
import scala.collection.Iterator;
import scala.reflect.ClassTag$;
import scala.runtime.BoxedUnit;

import java.io.IOException;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * {@code engine experiment} as a job of Apache Spark: a task measures one cell, and what it measured is kept by the
 * driver when it comes, in the same folder and with the same figures as on one machine, so that either goes on with
 * what the other began. Tasks run side by side, so times are comparable only with each other.
 */
@Command(
        name = "run-sweep",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "Measures selection policies as 'engine experiment' does, on the machines of a Spark cluster.")
public final class SparkSweep implements Runnable {
    @Mixin
    private SweepFlags sweep;

    @Mixin
    private EngineFlags flags;

    @Option(
            names = "--master",
            paramLabel = "URL",
            description = "Spark's master (default: what spark-submit says, else local[*]: all cores of this machine)")
    private String master;

    /** Runs the command line of {@code benchmarks/run-sweep}. */
    public static void main(String[] args) {
        Main.start(new SparkSweep(), args);
    }

    @Override
    public void run() {
        try (Experiment experiment = sweep.open(flags.options(1))) {
            if (!experiment.missing().isEmpty()) {
                measure(experiment);
            }
            sweep.finish(experiment);
        }
    }

    private void measure(Experiment experiment) {
        List<Integer> missing = experiment.missing();
        List<CellTask> tasks = missing.stream().map(number -> task(experiment, number)).toList();
        try (JavaSparkContext spark = new JavaSparkContext(conf(experiment.runner().options().threads()));
                Progress progress = sweep.progress(experiment)) {
            progress.reach(experiment.done());
            run(spark.parallelize(tasks, tasks.size()), (index, answer) -> {
                experiment.keep(missing.get(index), result(answer));
                progress.reach(experiment.done());
            });
        } catch (Exception e) { // Spark's own are checked, and Scala does not declare them
            throw failure(e);
        }
    }

    private SparkConf conf(int threads) {
        SparkConf conf = new SparkConf()
                .setAppName("gyre sweep")
                .setJars(JavaSparkContext.jarOfClass(SparkSweep.class)) // what other machines load
                .set("spark.task.cpus", Integer.toString(threads))
                .setIfMissing("spark.master", "local[*]")
                .setIfMissing("spark.ui.enabled", "false")
                .setIfMissing("spark.ui.showConsoleProgress", "false");
        return master == null ? conf : conf.setMaster(master);
    }

    private static CellTask task(Experiment experiment, int number) {
        Cell cell = experiment.cells().get(number);
        CellRunner runner = experiment.runner();
        return new CellTask(
                cell, experiment.tokens(cell), runner.probeEvery(), SentOptions.of(runner.options()));
    }

    /** Receives an answer on the driver. */
    private interface Sink {
        void accept(int index, CellTask.Answer answer);
    }

    /** Runs the tasks, each a partition of its own; unlike with {@code collect}, an answer is here as its task ends. */
    private static void run(JavaRDD<CellTask> tasks, Sink sink) {
        tasks.context().runJob(
                tasks.rdd(),
                (Function1<Iterator<CellTask>, CellTask.Answer> & Serializable) partition -> partition.next().run(),
                (Function2<Object, CellTask.Answer, BoxedUnit>) (index, answer) -> {
                    sink.accept((Integer) index, answer);
                    return BoxedUnit.UNIT;
                },
                ClassTag$.MODULE$.apply(CellTask.Answer.class));
    }

    /** Spark wraps what the sink throws. */
    private static EngineException failure(Exception e) {
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            if (cause instanceof EngineException failure) {
                return failure;
            }
        }
        String first = String.valueOf(e.getMessage()).lines().findFirst().orElse("");
        return new EngineException("the Spark job failed: " + first.replaceAll("\\.$", "") + ".", e);
    }

    private static CellResult result(CellTask.Answer answer) {
        if (answer.failure() != null) {
            throw new EngineException(answer.failure());
        }
        try {
            return CellResult.parse(answer.result().getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new IllegalStateException(e); // it was written by the same program
        }
    }
}
