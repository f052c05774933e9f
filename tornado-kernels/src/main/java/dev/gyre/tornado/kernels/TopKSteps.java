package dev.gyre.tornado.kernels;

import uk.ac.manchester.tornado.api.KernelContext;
import uk.ac.manchester.tornado.api.types.arrays.IntArray;

/**
 * The steps of {@link TopKKernels}.
 *
 * <p>Flags: bit j of int {@code 32 g + i} is that of position {@code 1024 g + 32 j + i}, so 32 threads that have an int
 * each read neighbouring scores at a time. In the order of positions ({@link Block#flip}) bit j of int w is that of
 * position {@code 32 w + j}. There are three planes of flags, one for each threshold.
 */
final class TopKSteps {
    /** The key of NaN. */
    static final int LEAST = -0x7fffffff;
    /** The key of infinity. */
    static final int MOST = 0x7f800000;
    /** Bits of a count in {@link #fields}. */
    static final int FIELD_BITS = 21;

    /** Ints of what is found of a row. */
    static final int FOUND = 8;
    private static final int CLASS = 0;
    private static final int LOWEST = 1;
    private static final int LAST = 2;
    private static final int FROM = 3;
    private static final int TOP = 4;
    private static final int OPEN = 5;

    private TopKSteps() {}

    /**
     * A score's key: a signed int that is greater for a greater score. Both zeros are one, NaN is below every number.
     *
     * @param bits of a float
     */
    static int order(int bits) {
        int magnitude = bits & 0x7fffffff;
        int ordered = bits < 0 ? -magnitude : magnitude;
        return magnitude > MOST ? LEAST : ordered;
    }

    /** Three counts in one number. */
    static long fields(int a, int b, int c) {
        return a + ((long) b << FIELD_BITS) + ((long) c << 2 * FIELD_BITS);
    }

    /** One of three counts. */
    static int field(long fields, int index) {
        return (int) (fields >> index * FIELD_BITS) & ((1 << FIELD_BITS) - 1);
    }

    /**
     * How many scores of a row there are to select from: none where all of up to k are selected. Then every loop of the
     * steps is empty, but no barrier is left out: what follows a barrier in an "if" PoCL copies, and takes half a minute
     * to compile.
     */
    static int toSelect(IntArray meta, IntArray visible, int row) {
        int n = row < meta.get(0) ? visible.get(row) : 0;
        return n > meta.get(1) ? n : 0;
    }

    /** Ints of flags for n scores: a whole number of groups. */
    static int words(int n) {
        return (n + TopKKernels.STRETCH - 1) / TopKKernels.STRETCH * Block.GROUP;
    }

    /** The position of an int's flag. */
    private static int position(int word, int bit) {
        return (word >> 5) * TopKKernels.STRETCH + bit * 32 + (word & 31);
    }

    /** The flags of an int that stand for positions below n. */
    private static int valid(int word, int n) {
        int count = (Math.max(n - position(word, 0), 0) + 31) / 32;
        return count > 31 ? -1 : ~(-1 << Math.min(count, 31));
    }

    private static int bitOf(int single) {
        return Integer.bitCount(single - 1);
    }

    /**
     * Flags and counts the scores whose keys reach t1, t1 + 1 and t3. (The second makes equal keys at the lower edge, such
     * as zeros, a class of their own.) Goes through ints {@code first}, {@code first + step} and so on below {@code end}.
     *
     * @return this thread's three counts
     */
    static long sift(
            IntArray scores, int base, int n, IntArray flags, int planes, int plane, int t1, int t3, int first,
            int step, int end) {
        int t2 = t1 + 1;
        int top = Math.max(t2, t3);
        long counts = 0;
        for (int word = first; word < end; word += step) {
            int bits1 = 0;
            int bits2 = 0;
            int bits3 = 0;
            // eight loads in flight: a thread that waits for each in turn spends its time waiting
            for (int bit = 24; bit >= 0; bit -= 8) {
                int at = base + position(word, bit);
                int v0 = order(scores.get(at));
                int v1 = order(scores.get(at + 32));
                int v2 = order(scores.get(at + 64));
                int v3 = order(scores.get(at + 96));
                int v4 = order(scores.get(at + 128));
                int v5 = order(scores.get(at + 160));
                int v6 = order(scores.get(at + 192));
                int v7 = order(scores.get(at + 224));
                bits1 = (bits1 << 8) + reach(t1, v0, v1, v2, v3, v4, v5, v6, v7);
                bits2 = (bits2 << 8) + reach(t2, v0, v1, v2, v3, v4, v5, v6, v7);
                bits3 = (bits3 << 8) + reach(top, v0, v1, v2, v3, v4, v5, v6, v7);
            }
            int valid = valid(word, n);
            bits1 = bits1 & valid;
            bits2 = bits2 & valid;
            bits3 = bits3 & valid;
            flags.set(planes + word, bits1);
            flags.set(planes + plane + word, bits2);
            flags.set(planes + 2 * plane + word, bits3);
            counts += fields(Integer.bitCount(bits1), Integer.bitCount(bits2), Integer.bitCount(bits3));
        }
        return counts;
    }

    private static int reach(int t, int v0, int v1, int v2, int v3, int v4, int v5, int v6, int v7) {
        return (v0 >= t ? 1 : 0) + (v1 >= t ? 2 : 0) + (v2 >= t ? 4 : 0) + (v3 >= t ? 8 : 0) + (v4 >= t ? 16 : 0)
                + (v5 >= t ? 32 : 0) + (v6 >= t ? 64 : 0) + (v7 >= t ? 128 : 0);
    }

    /** Which class of four the k-th largest lies in, by how many reach the thresholds between them. */
    private static int classOf(int k, int n1, int n2, int n3) {
        return n3 >= k ? 3 : n2 >= k ? 2 : n1 >= k ? 1 : 0;
    }

    private static int pick(int index, int a, int b, int c, int d) {
        return index == 3 ? d : index == 2 ? c : index == 1 ? b : a;
    }

    /** Flags of what is above a class: those of the next threshold, if there is one. */
    private static int above(IntArray flags, int planes, int plane, int index, int word, int n) {
        int bits = flags.get(planes + Math.min(Math.max(index, 0), 2) * plane + word);
        return index < 0 ? valid(word, n) : index > 2 ? 0 : bits;
    }

    /** Flags of a class. */
    private static int inside(IntArray flags, int planes, int plane, int index, int word, int n) {
        int beyond = above(flags, planes, plane, index, word, n);
        return above(flags, planes, plane, index - 1, word, n) & ~beyond;
    }

    private static void put(IntArray positions, IntArray slots, IntArray tables, int at, int pages, int position) {
        positions.set(at, position);
        slots.set(at, AppendKernels.slot(tables, pages, position));
    }

    /** A row of up to k scores is selected whole. */
    static void wholeRow(
            KernelContext context, IntArray meta, IntArray visible, IntArray tables, IntArray positions, IntArray slots) {
        int row = context.groupIdx;
        int k = meta.get(1);
        int n = visible.get(row);
        int end = row < meta.get(0) ? k : 0;
        end = n > k ? 0 : end;
        for (int i = context.localIdx; i < end; i += context.localGroupSizeX) {
            if (i < n) {
                put(positions, slots, tables, row * k + i, row * meta.get(3), i);
            } else {
                positions.set(row * k + i, -1);
                slots.set(row * k + i, -1);
            }
        }
    }

    /**
     * Finds the class that the k-th largest key lies in. Of what is found, cell CLASS says which class it is; keys of it
     * are LOWEST to LAST, FROM keys are at least LOWEST and TOP are beyond LAST; OPEN is 1 until the k-th largest is known
     * or exactly k keys are at least LOWEST.
     *
     * @param mine counts of the sifting whose sum over all threads is the row's
     */
    static void classify(KernelContext context, int n, int k, long mine, int t1, int t3, IntArray found) {
        int state = context.groupIdx * FOUND;
        long total = Block.sum(context, mine);
        int n1 = field(total, 0);
        int n2 = field(total, 1);
        int n3 = field(total, 2);
        int t2 = t1 + 1;
        int upper = Math.max(t2, t3);
        int index = classOf(k, n1, n2, n3);
        int lowest = pick(index, LEAST, t1, t2, upper);
        int last = pick(index, t1 - 1, t1, upper - 1, MOST);
        int from = pick(index, n, n1, n2, n3);
        if (context.localIdx == 0) {
            found.set(state + CLASS, index);
            found.set(state + LOWEST, lowest);
            found.set(state + LAST, last);
            found.set(state + FROM, from);
            found.set(state + TOP, pick(index, n1, n2, n3, 0));
            found.set(state + OPEN, n == 0 ? 0 : from == k ? 0 : lowest == last ? 0 : 1);
        }
        context.globalBarrier();
    }

    /**
     * Gathers the keys of the class, where the k-th largest is to be looked for among them.
     *
     * @param base of the row's scores and of its keys
     * @return where this thread's keys begin, which follow each other in the order of its flags
     */
    static int gather(
            KernelContext context, IntArray scores, IntArray flags, IntArray keys, int base, int planes, int plane,
            int n, IntArray found) {
        int state = context.groupIdx * FOUND;
        int block = context.localGroupSizeX;
        int index = found.get(state + CLASS);
        int words = found.get(state + OPEN) > 0 ? words(n) : 0;
        int count = 0;
        for (int word = context.localIdx; word < words; word += block) {
            count += Integer.bitCount(inside(flags, planes, plane, index, word, n));
        }
        int begin = base + Block.before(context, count);
        int at = begin;
        for (int word = context.localIdx; word < words; word += block) {
            int bits = inside(flags, planes, plane, index, word, n);
            while (bits != 0) {
                int single = bits & -bits;
                bits = bits ^ single;
                keys.set(at, order(scores.get(base + position(word, bitOf(single)))));
                at++;
            }
        }
        context.globalBarrier();
        return begin;
    }

    /** Looks at the gathered keys, two bits a pass. What is found is closed then; CLASS and OPEN stay as they are. */
    static void narrow(KernelContext context, IntArray keys, int base, int k, IntArray found) {
        int state = context.groupIdx * FOUND;
        int thread = context.localIdx;
        int lowest = found.get(state + LOWEST);
        int last = found.get(state + LAST);
        int from = found.get(state + FROM);
        int top = found.get(state + TOP);
        int open = found.get(state + OPEN);
        int count = from - top;
        int beyond = top;
        while (open > 0) {
            // in 64 bits, since a class may have more than 2^31 keys
            long step = ((long) last - lowest + 4) / 4;
            int t1 = (int) Math.min(lowest + step, last + 1L);
            int t2 = (int) Math.min(lowest + 2 * step, last + 1L);
            int t3 = (int) Math.min(lowest + 3 * step, last + 1L);
            int c1 = 0;
            int c2 = 0;
            int c3 = 0;
            for (int i = thread; i < count; i += context.localGroupSizeX) {
                int key = keys.get(base + i);
                c1 += key >= t1 ? 1 : 0;
                c2 += key >= t2 ? 1 : 0;
                c3 += key >= t3 ? 1 : 0;
            }
            long total = Block.sum(context, fields(c1, c2, c3));
            int n1 = beyond + field(total, 0);
            int n2 = beyond + field(total, 1);
            int n3 = beyond + field(total, 2);
            int index = classOf(k, n1, n2, n3);
            lowest = pick(index, lowest, t1, t2, t3);
            last = pick(index, t1 - 1, t2 - 1, t3 - 1, last);
            from = pick(index, from, n1, n2, n3);
            top = pick(index, n1, n2, n3, top);
            open = from == k ? 0 : lowest == last ? 0 : 1;
        }
        if (thread == 0) {
            found.set(state + LOWEST, lowest);
            found.set(state + FROM, from);
            found.set(state + TOP, top);
        }
        context.globalBarrier();
    }

    /**
     * Puts flags of what is selected into the row's first plane, in the order of positions; where more than k keys are at
     * least LOWEST, flags of those above it. Flags of those that equal it go into the second plane, in the order of flags.
     *
     * @param begin where this thread's keys begin, if they were gathered
     */
    static void mark(
            KernelContext context, IntArray flags, IntArray keys, int planes, int plane, int n, int k, int begin,
            IntArray found) {
        int state = context.groupIdx * FOUND;
        int block = context.localGroupSizeX;
        int index = found.get(state + CLASS);
        int lowest = found.get(state + LOWEST);
        int ties = found.get(state + FROM) > k ? 1 : 0;
        int at = begin;
        for (int tile = 0; tile < words(n); tile += block) {
            int word = tile + context.localIdx;
            int last = word < words(n) ? 1 : 0;
            int taken = last > 0 ? above(flags, planes, plane, index, word, n) : 0;
            int equal = last > 0 ? inside(flags, planes, plane, index, word, n) : 0;
            int bits = found.get(state + OPEN) > 0 ? equal : 0;
            while (bits != 0) {
                int single = bits & -bits;
                bits = bits ^ single;
                int key = keys.get(at);
                at++;
                taken = taken | (key > lowest ? single : 0);
                equal = equal ^ (key == lowest ? 0 : single);
            }
            int ordered = Block.flip(context, ties > 0 ? taken : taken | equal);
            if (last > 0) {
                flags.set(planes + word, ordered);
                flags.set(planes + plane + word, equal);
            }
        }
        context.globalBarrier();
    }

    /** Of those that equal the k-th largest key, adds the first ones to what is selected, until there are k. */
    static void addTies(
            KernelContext context, IntArray flags, int planes, int plane, int n, int k, IntArray found) {
        int state = context.groupIdx * FOUND;
        int count = found.get(state + FROM) > k ? n : 0; // no ties: all loops are empty
        for (int tile = 0; tile < words(count); tile += context.localGroupSizeX) {
            int word = tile + context.localIdx;
            int ordered = Block.flip(context, word < words(count) ? flags.get(planes + plane + word) : 0);
            if (word < words(count)) {
                flags.set(planes + plane + word, ordered);
            }
        }
        context.globalBarrier();
        int first = share(context, count, context.localIdx);
        int end = share(context, count, context.localIdx + 1);
        int ties = 0;
        for (int word = first; word < end; word++) {
            ties += Integer.bitCount(flags.get(planes + plane + word));
        }
        int places = k - found.get(state + TOP) - Block.before(context, ties);
        for (int word = first; word < end; word++) {
            int bits = flags.get(planes + plane + word);
            int equal = Integer.bitCount(bits);
            int few = places >= equal ? 0 : Math.max(places, 0);
            int taken = flags.get(planes + word) | (places >= equal ? bits : 0);
            for (int i = 0; i < few; i++) {
                int single = bits & -bits;
                bits = bits ^ single;
                taken = taken | single;
            }
            flags.set(planes + word, taken);
            places -= equal;
        }
    }

    /** Writes the positions of the flags in the row's first plane. */
    static void write(
            KernelContext context, IntArray flags, int planes, int n, int out, IntArray tables, int pages,
            IntArray positions, IntArray slots) {
        int first = share(context, n, context.localIdx);
        int end = share(context, n, context.localIdx + 1);
        int count = 0;
        for (int word = first; word < end; word++) {
            count += Integer.bitCount(flags.get(planes + word));
        }
        int at = out + Block.before(context, count);
        for (int word = first; word < end; word++) {
            int bits = flags.get(planes + word);
            while (bits != 0) {
                int single = bits & -bits;
                bits = bits ^ single;
                put(positions, slots, tables, at, pages, word * 32 + bitOf(single));
                at++;
            }
        }
    }

    /** Where a thread's share of a row's flags begins, when they are in the order of positions. */
    private static int share(KernelContext context, int n, int thread) {
        int block = context.localGroupSizeX;
        return Math.min(thread * ((words(n) + block - 1) / block), words(n));
    }
}
