package dev.gyre.attention.cache;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.TreeSet;

/**
 * Who holds the pages of a {@link KvCache}: sequences that run, and a radix tree of what they left behind, in which the
 * next one finds what it has in common with them. The idea is SGLang's RadixAttention (arXiv 2312.07104); here an edge
 * of the tree is a page of 64 tokens, since a page is what latents and index keys are allocated, shared and freed by.
 *
 * <p>Whole pages are shared as they are; of a page that agrees in part, the new sequence gets a copy that it goes on
 * writing (copy on write). A page in the tree that no sequence uses stays until its room is needed, and then the one
 * that was used longest ago goes first, leaves before what they stand on.
 *
 * <p>A sequence is let in only if it can reach its full length: {@link #claim} promises the pages, {@link #reserve}
 * takes them as they are needed. One thread at a time; the counts may be read by others.
 */
public final class PrefixCache {
    private final KvCache cache;
    private final boolean enabled;
    private final Node root = new Node(null, new int[0], -1);
    /** Leaves that no sequence uses, longest unused first: what can be evicted. */
    private final TreeSet<Node> idle =
            new TreeSet<>(Comparator.<Node>comparingLong(node -> node.used).thenComparingInt(node -> node.page));
    private long clock;
    private int promised;
    private volatile int nodes;
    private volatile int inUse;
    private volatile long evictions;

    /** A page in the tree: its tokens follow those of the nodes above. Only a full page has others below it. */
    private static final class Node {
        private final Node parent;
        private final int[] tokens;
        private final int page;
        private final List<Node> children = new ArrayList<>();
        /** How many claims go through here. */
        private int users;
        private long used;

        Node(Node parent, int[] tokens, int page) {
            this.parent = parent;
            this.tokens = tokens;
            this.page = page;
        }
    }

    /** The pages of one running sequence. The first of them may be shared; the others are its own. */
    public static final class Claim {
        private final PageTable table = new PageTable();
        private final int pages;
        private Node node;
        private int shared;
        private int reused;

        private Claim(int pages) {
            this.pages = pages;
        }

        /** Where the sequence's tokens lie. */
        public PageTable table() {
            return table;
        }

        /** How many tokens were cached when the sequence came. */
        public int reused() {
            return reused;
        }

        private int outstanding() {
            return pages - table.count();
        }
    }

    /** @param enabled whether pages outlive their sequences; without it nothing is shared */
    public PrefixCache(KvCache cache, boolean enabled) {
        this.cache = cache;
        this.enabled = enabled;
    }

    /** Whether a sequence of this many tokens can ever be let in. */
    public boolean fits(int tokens) {
        return pages(tokens) <= cache.pool().size();
    }

    /** How many of the first {@code limit} tokens the tree has in whole pages. */
    public int cached(int[] tokens, int limit) {
        int found = 0;
        for (Node node = child(root, tokens, limit, 0); node != null; node = child(node, tokens, limit, found)) {
            found += PageTable.PAGE;
        }
        return found;
    }

    /**
     * Lets a sequence in.
     *
     * @param tokens what it begins with
     * @param limit how many of these may come from the tree
     * @param most the most tokens that it will ever hold
     * @return null where there is no room for so many now
     */
    public Claim claim(int[] tokens, int limit, int most) {
        Claim claim = new Claim(pages(most));
        claim.node = root;
        for (Node node = child(root, tokens, limit, 0); node != null; node = child(node, tokens, limit, claim.reused)) {
            use(node);
            claim.node = node;
            claim.table.append(node.page);
            claim.shared++;
            claim.reused += PageTable.PAGE;
        }
        if (claim.outstanding() > cache.pool().available() + nodes - inUse - promised) {
            leave(claim.node);
            return null;
        }
        promised += claim.outstanding();
        copyPart(claim, tokens, limit);
        return claim;
    }

    /** What the tree has of the page in which the claim and the tree part. */
    private void copyPart(Claim claim, int[] tokens, int limit) {
        Node best = null;
        int most = 0;
        for (Node node : claim.node.children) {
            int common = common(node, tokens, claim.reused, limit);
            if (common > most) {
                most = common;
                best = node;
            }
        }
        if (best == null) {
            return;
        }
        use(best); // it must not be evicted to make room for its own copy
        if (cache.pool().available() > 0 || !idle.isEmpty()) {
            reserve(claim, claim.reused + most);
            cache.copyPage(best.page, claim.table.page(claim.shared));
            claim.reused += most;
        }
        release(best);
    }

    /** Makes a sequence's pages reach {@code tokens} tokens; within what was claimed there is always room. */
    public void reserve(Claim claim, int tokens) {
        int wanted = pages(tokens) - claim.table.count();
        if (wanted > claim.outstanding()) {
            throw new IllegalArgumentException(tokens + " tokens in a claim of " + claim.pages + " pages");
        }
        while (cache.pool().available() < wanted) {
            evictions++;
            drop(idle.first());
        }
        if (wanted > 0) {
            cache.pool().reserve(claim.table, tokens);
            promised -= wanted;
        }
    }

    /**
     * Puts the full pages of a running sequence into the tree, where others find them.
     *
     * @param tokens the sequence's
     * @param length how many of them are cached
     */
    public void share(Claim claim, int[] tokens, int length) {
        while (enabled && (claim.shared + 1) * PageTable.PAGE <= length) {
            int from = claim.shared * PageTable.PAGE;
            int own = claim.table.page(claim.shared);
            Node node = child(claim.node, tokens, length, from);
            if (node == null) {
                node = insert(claim.node, Arrays.copyOfRange(tokens, from, from + PageTable.PAGE), own);
            } else { // another sequence was there before; the same tokens have the same latents
                claim.table.replace(claim.shared, node.page);
                cache.pool().give(own);
            }
            use(node);
            claim.node = node;
            claim.shared++;
        }
    }

    /** Ends a sequence: what can be of use to others stays in the tree, the rest is free. */
    public void release(Claim claim, int[] tokens, int length) {
        share(claim, tokens, length);
        promised -= claim.outstanding();
        int from = claim.shared * PageTable.PAGE;
        boolean keep = enabled && length > from
                && claim.node.children.stream().noneMatch(node -> common(node, tokens, from, length) == length - from);
        while (claim.table.count() > claim.shared) {
            int page = claim.table.removeLast();
            if (keep && claim.table.count() == claim.shared) {
                Node node = insert(claim.node, Arrays.copyOfRange(tokens, from, length), page);
                node.used = ++clock;
                idle.add(node);
            } else {
                cache.pool().give(page);
            }
        }
        leave(claim.node);
        claim.table.clear();
    }

    /** Frees every page that no sequence uses. */
    public void clear() {
        while (!idle.isEmpty()) {
            drop(idle.first());
        }
    }

    /** Whether pages outlive their sequences. */
    public boolean isEnabled() {
        return enabled;
    }

    /** How many pages sequences use: their own and those of the tree that they share. */
    public int pagesInUse() {
        return cache.pool().size() - cache.pool().available() - nodes + inUse;
    }

    /** How many pages are kept although no sequence uses them. */
    public int pagesKept() {
        return nodes - inUse;
    }

    /** How many pages were given up for others since the start. */
    public long evictions() {
        return evictions;
    }

    private static int pages(int tokens) {
        return Math.ceilDiv(tokens, PageTable.PAGE);
    }

    /** The node below that holds exactly the next page of these tokens. */
    private static Node child(Node node, int[] tokens, int limit, int from) {
        if (limit - from >= PageTable.PAGE) {
            for (Node child : node.children) {
                if (common(child, tokens, from, limit) == PageTable.PAGE) {
                    return child;
                }
            }
        }
        return null;
    }

    private static int common(Node node, int[] tokens, int from, int limit) {
        int most = Math.min(node.tokens.length, limit - from);
        int mismatch = Arrays.mismatch(node.tokens, 0, most, tokens, from, from + most);
        return mismatch < 0 ? most : mismatch;
    }

    private Node insert(Node parent, int[] tokens, int page) {
        // a page that is the beginning of this one has nothing to offer any more
        parent.children.stream()
                .filter(node -> node.users == 0 && common(node, tokens, 0, tokens.length) == node.tokens.length)
                .findAny()
                .ifPresent(this::drop);
        Node node = new Node(parent, tokens, page);
        parent.children.add(node);
        nodes++;
        return node;
    }

    private void use(Node node) {
        if (node.users++ == 0) {
            idle.remove(node);
            inUse++;
        }
    }

    private void release(Node node) {
        if (--node.users == 0) {
            inUse--;
            node.used = ++clock;
            if (node.children.isEmpty()) {
                idle.add(node);
            }
        }
    }

    private void leave(Node last) {
        for (Node node = last; node != root; node = node.parent) {
            release(node);
        }
    }

    private void drop(Node leaf) {
        idle.remove(leaf);
        leaf.parent.children.remove(leaf);
        nodes--;
        cache.pool().give(leaf.page);
        if (leaf.parent != root && leaf.parent.users == 0 && leaf.parent.children.isEmpty()) {
            idle.add(leaf.parent);
        }
    }
}
