package dev.gyre.benchmarks;

import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What came back for a request, and when.
 *
 * @param error why it is no answer; null where it is one
 * @param sent nanoseconds, of the clock of {@link System#nanoTime}
 * @param firstToken nanoseconds from sending to the first token
 * @param latency nanoseconds from sending to the end of the stream
 * @param gaps nanoseconds between tokens; tokens that came together share theirs
 * @param tokens how many the server says that it generated
 * @param ids which; null where the server does not say
 */
record LoadAnswer(
        LoadPlan.Request request,
        String error,
        long sent,
        long firstToken,
        long latency,
        double[] gaps,
        int tokens,
        int[] ids,
        String text) {

    static LoadAnswer failed(LoadPlan.Request request, String error) {
        return new LoadAnswer(request, error, 0, 0, 0, new double[0], 0, null, "");
    }

    boolean ok() {
        return error == null;
    }

    private LoadAnswer wrong(String why) {
        return new LoadAnswer(request, why, sent, firstToken, latency, gaps, tokens, ids, text);
    }

    /** This one, or the same as a failure where its length is not what was asked for. */
    LoadAnswer checked(boolean ignoreEos) {
        int asked = request.outputTokens();
        if (!ok()) {
            return this;
        } else if (ids != null && ids.length != tokens) {
            return wrong("the answer has " + ids.length + " output ids and completion_tokens says " + tokens + ".");
        } else if (tokens < (ignoreEos ? asked : 1) || tokens > asked) {
            return wrong("the answer has " + tokens + " tokens and " + asked + " were asked for"
                    + (ignoreEos ? " with ignore_eos." : " at most."));
        }
        return this;
    }

    /** Compares greedy answers: the same request must have the same answer whatever ran beside it. */
    static final class Memory {
        private final Map<Key, LoadAnswer> first = new HashMap<>();
        private int compared;

        private record Key(IntBuffer prompt, int outputTokens) {}

        /** This answer, or the same as a failure where an earlier one to the same request differs. */
        LoadAnswer checked(LoadAnswer answer) {
            if (!answer.ok()) {
                return answer;
            }
            Key key = new Key(IntBuffer.wrap(answer.request.prompt()), answer.request.outputTokens());
            LoadAnswer other = first.putIfAbsent(key, answer);
            if (other == null) {
                return answer;
            }
            compared++;
            int at = answer.ids == null || other.ids == null ? -1 : Arrays.mismatch(other.ids, answer.ids);
            if (at >= 0) {
                return answer.wrong("the same prompt of " + answer.request.prompt().length
                        + " tokens had two greedy answers, which differ from output token " + at + " on.");
            }
            return answer.text.equals(other.text) ? answer : answer.wrong("the same prompt of "
                    + answer.request.prompt().length + " tokens had two greedy answers with different text.");
        }

        List<LoadAnswer> checked(List<LoadAnswer> answers) {
            return answers.stream().map(this::checked).toList();
        }

        /** How many answers could be compared with another. */
        int compared() {
            return compared;
        }
    }
}
