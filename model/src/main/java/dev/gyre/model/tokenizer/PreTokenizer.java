package dev.gyre.model.tokenizer;

import dev.gyre.attention.EngineException;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Cuts text into the pieces that {@link Bpe} encodes one by one: a row of stages, each cutting what the one before
 * gives. A stage sees one piece at a time and nothing around it, so a look-ahead at a piece's end finds the end of the
 * text. Pieces are ranges of a string, not strings of their own.
 */
final class PreTokenizer {
    /** Takes the stretch {@code text[from, to)}, which is not empty. */
    interface Sink {
        void accept(String text, int from, int to);
    }

    /** What becomes of the matches of a {@link Split}. */
    enum Behavior { ISOLATED, REMOVED, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT, CONTIGUOUS }

    /** One step of cutting. */
    sealed interface Stage permits Split, PrefixSpace {
    }

    /** Cuts at the matches of a pattern; {@code invert} swaps matches and what lies between. */
    record Split(Pattern pattern, Behavior behavior, boolean invert) implements Stage {
    }

    /** Puts a space before a piece that does not begin with one. */
    record PrefixSpace() implements Stage {
    }

    private final List<Stage> stages;
    private final String where;

    PreTokenizer(List<Stage> stages, String where) {
        this.stages = List.copyOf(stages);
        this.where = where;
    }

    /** The whole row with {@code last} at its end, for one thread: it holds the matchers. */
    Sink into(Sink last) {
        Sink sink = last;
        for (int i = stages.size() - 1; i >= 0; i--) {
            sink = switch (stages.get(i)) {
                case Split split -> new Splitter(split, sink, where);
                case PrefixSpace _ -> prefixing(sink);
            };
        }
        return sink;
    }

    private static Sink prefixing(Sink next) {
        return (text, from, to) -> {
            if (text.charAt(from) == ' ') {
                next.accept(text, from, to);
            } else {
                String prefixed = ' ' + text.substring(from, to);
                next.accept(prefixed, 0, prefixed.length());
            }
        };
    }

    /** A range of the text, and whether the pattern matched it. */
    private record Segment(int from, int to, boolean match) {
    }

    private static final class Splitter implements Sink {
        private final Split split;
        private final Matcher matcher;
        private final Sink next;
        private final String where;
        private String current = "";

        Splitter(Split split, Sink next, String where) {
            this.split = split;
            this.matcher = split.pattern().matcher(current);
            this.next = next;
            this.where = where;
        }

        @Override
        public void accept(String text, int from, int to) {
            if (text != current) {
                matcher.reset(text);
                current = text;
            }
            // a region is opaque and anchored by default: the stage sees the piece alone
            matcher.region(from, to);
            if (split.behavior() == Behavior.ISOLATED) {
                isolate(text, from, to);
            } else {
                for (Segment segment : merge(segments(from, to))) {
                    next.accept(text, segment.from(), segment.to());
                }
            }
        }

        /** Matches and what lies between are pieces alike; the usual case, so nothing is collected first. */
        private void isolate(String text, int from, int to) {
            int done = from;
            while (find()) {
                int start = matcher.start();
                int end = matcher.end();
                if (start > done) {
                    next.accept(text, done, start);
                }
                if (end > start) {
                    next.accept(text, start, end);
                }
                done = end;
            }
            if (to > done) {
                next.accept(text, done, to);
            }
        }

        private List<Segment> segments(int from, int to) {
            List<Segment> segments = new ArrayList<>();
            int done = from;
            while (find()) {
                if (matcher.start() > done) {
                    segments.add(new Segment(done, matcher.start(), split.invert()));
                }
                if (matcher.end() > matcher.start()) {
                    segments.add(new Segment(matcher.start(), matcher.end(), !split.invert()));
                }
                done = matcher.end();
            }
            if (to > done) {
                segments.add(new Segment(done, to, split.invert()));
            }
            return segments;
        }

        /** Joins neighbours as the behavior says: a match to what is before or after it, or like to like. */
        private List<Segment> merge(List<Segment> segments) {
            if (split.behavior() == Behavior.REMOVED) {
                return segments.stream().filter(segment -> !segment.match()).toList();
            }
            List<Segment> merged = new ArrayList<>();
            Segment open = null;
            for (Segment segment : segments) {
                if (open != null && joins(open, segment)) {
                    open = new Segment(open.from(), segment.to(), segment.match());
                    continue;
                }
                if (open != null) {
                    merged.add(open);
                }
                open = segment;
            }
            if (open != null) {
                merged.add(open);
            }
            return merged;
        }

        /** {@code open} carries the kind of its last segment. */
        private boolean joins(Segment open, Segment segment) {
            return switch (split.behavior()) {
                case MERGED_WITH_PREVIOUS -> segment.match() && !open.match();
                case MERGED_WITH_NEXT -> open.match() && !segment.match();
                case CONTIGUOUS -> open.match() == segment.match();
                case ISOLATED, REMOVED -> false;
            };
        }

        private boolean find() {
            try {
                boolean found = matcher.find();
                while (found && insidePair()) {
                    found = matcher.find();
                }
                return found;
            } catch (StackOverflowError e) {
                // matching changes nothing but the matcher, which is given up with this call
                throw new EngineException("The pre_tokenizer regex in " + where + " needs more stack than there is for "
                        + "a text this long; cut the text, or give the JVM more with -Xss.", e);
            }
        }

        /** Java steps over an empty match by a char, which may be half a character; Oniguruma by a character. */
        private boolean insidePair() {
            int start = matcher.start();
            return start == matcher.end() && start > 0 && start < current.length()
                    && Character.isLowSurrogate(current.charAt(start))
                    && Character.isHighSurrogate(current.charAt(start - 1));
        }
    }
}
