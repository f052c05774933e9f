package dev.gyre.attention.hisparse;

import dev.gyre.attention.Selection;
import dev.gyre.attention.cache.PageTable;

import java.util.Arrays;

/**
 * Which tokens of one sequence are hot in one layer, and where: a list from the one used last to the one used longest
 * ago, which goes first. Tokens are known by their positions, since the slot of a position may change (a page that
 * another sequence computed first is shared), and what lies there does not.
 *
 * <p>Rows that are attended together form a group. What a row of the group uses cannot go before the group was served.
 */
final class HotSequence {
    /** In place of a place: the position was not hot since its sequence began. */
    private static final int NEVER = -2;

    private final int capacity;
    private final int base;
    /** By position: its place, NONE where it had one, or NEVER. */
    private int[] placeOf = new int[0];
    /** By place: its position, neighbours in the list (the end of the list is at {@code capacity}), last group. */
    private final int[] positionOf;
    private final int[] older;
    private final int[] newer;
    private final long[] groupOf;
    private PageTable table;
    private int used;
    /** No position from here on is hot. */
    private int end;
    /** Positions from here on are of the step under way. */
    private int fresh;
    private long group;
    private int inGroup;

    /** @param base the first of the sequence's places among the layer's hot rows */
    HotSequence(int capacity, int base) {
        this.capacity = capacity;
        this.base = base;
        positionOf = new int[capacity];
        older = new int[capacity + 1];
        newer = new int[capacity + 1];
        groupOf = new long[capacity];
        forget();
    }

    /** Whether its sequence has ended, so that another one can have the place. */
    boolean isFree() {
        return table.count() == 0;
    }

    /** Whose tokens these are. */
    PageTable table() {
        return table;
    }

    /** Begins with a sequence, of which nothing is hot. */
    void start(PageTable sequence) {
        table = sequence;
        forget();
    }

    /** Nothing is hot any more. */
    void forget() {
        Arrays.fill(placeOf, NEVER);
        used = 0;
        end = 0;
        older[capacity] = capacity;
        newer[capacity] = capacity;
        group = 0;
        inGroup = 0;
    }

    /**
     * Begins a step whose first new token stands at {@code from}, and whose last before {@code to}: what was hot from
     * there on was of a step that failed.
     */
    void step(int from, int to) {
        if (end > from) {
            forget();
        }
        fresh = from;
        int known = placeOf.length;
        if (to > known) {
            placeOf = Arrays.copyOf(placeOf, Math.max(to, known + known / 2));
            Arrays.fill(placeOf, known, placeOf.length, NEVER);
        }
    }

    /** Whether a row that needs these positions finds room in a group beside what the group's other rows use. */
    boolean fits(int[] positions, int from, int count, long group) {
        if (this.group != group) {
            this.group = group;
            inGroup = 0;
        }
        int more = 0;
        for (int i = from; i < from + count; i++) {
            int place = placeOf[positions[i]];
            more += place < 0 || groupOf[place] != group ? 1 : 0;
        }
        return inGroup + more <= capacity;
    }

    /** The hot row of a position, which is now the one used last; NONE where it is not hot. */
    int use(int position) {
        int place = placeOf[position];
        if (place < 0) {
            return Selection.NONE;
        }
        unlink(place);
        link(place);
        return base + place;
    }

    /**
     * Whether a position that is not hot was computed in this step and not evicted since: whoever writes its latent
     * into the store has it at hand and need not fetch it.
     */
    boolean isNew(int position) {
        return position >= fresh && placeOf[position] == NEVER;
    }

    /** Whether the next {@link #take} evicts another token. */
    boolean isFull() {
        return used == capacity;
    }

    /** A hot row for a position that was not hot: that of the token used longest ago where all are taken. */
    int take(int position) {
        int place = used;
        if (isFull()) {
            place = newer[capacity];
            placeOf[positionOf[place]] = Selection.NONE;
            unlink(place);
        } else {
            used++;
        }
        positionOf[place] = position;
        placeOf[position] = place;
        end = Math.max(end, position + 1);
        link(place);
        return base + place;
    }

    private void unlink(int place) {
        older[newer[place]] = older[place];
        newer[older[place]] = newer[place];
    }

    private void link(int place) {
        int first = older[capacity];
        older[place] = first;
        newer[first] = place;
        older[capacity] = place;
        newer[place] = capacity;
        inGroup += groupOf[place] == group ? 0 : 1;
        groupOf[place] = group;
    }
}
