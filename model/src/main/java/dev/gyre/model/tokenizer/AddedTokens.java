package dev.gyre.model.tokenizer;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * Finds added tokens, such as {@code <｜User｜>}, in text before anything else is done to it: the leftmost first, and of
 * those that begin at one place the longest. A trie over chars.
 */
final class AddedTokens {
    /**
     * An added token as {@code tokenizer.json} describes it: {@code lstrip} and {@code rstrip} let it swallow the white
     * space beside it, {@code singleWord} bars it inside a word, and {@code normalized} has it sought in the normalized
     * text rather than in the raw one.
     */
    record AddedToken(int id, String content, boolean special, boolean lstrip, boolean rstrip, boolean singleWord,
            boolean normalized) {
    }

    private static final Pattern WORD = Pattern.compile("\\w", Pattern.UNICODE_CHARACTER_CLASS);

    private static final class Node {
        private final Map<Character, Node> next = new HashMap<>();
        private AddedToken token;
    }

    private final Node root = new Node();

    /** {@code normalization} is applied to the contents first: those are sought in text that went through it too. */
    AddedTokens(List<AddedToken> tokens, Normalization normalization) {
        for (AddedToken token : tokens) {
            Node node = root;
            String content = normalization.apply(token.content());
            for (int i = 0; i < content.length(); i++) {
                node = node.next.computeIfAbsent(content.charAt(i), _ -> new Node());
            }
            if (node != root) {
                node.token = token;
            }
        }
    }

    /** Walks the text from left to right, giving ids to {@code ids} and each stretch without any to {@code between}. */
    void scan(String text, IntList ids, PreTokenizer.Sink between) {
        int done = 0;
        int at = root.next.isEmpty() ? text.length() : 0;
        while (at < text.length()) {
            AddedToken token = null;
            int end = at;
            Node node = root.next.get(text.charAt(at));
            for (int i = at + 1; node != null; i++) {
                if (node.token != null) {
                    token = node.token;
                    end = i;
                }
                node = i < text.length() ? node.next.get(text.charAt(i)) : null;
            }
            if (token == null) {
                at++;
                continue;
            }
            int start = at;
            at = end;
            if (token.singleWord() && (start > 0 && isWord(text.codePointBefore(start))
                    || end < text.length() && isWord(text.codePointAt(end)))) {
                continue;
            }
            while (token.lstrip() && start > done && isSpace(text.charAt(start - 1))) {
                start--;
            }
            while (token.rstrip() && at < text.length() && isSpace(text.charAt(at))) {
                at++;
            }
            if (start > done) {
                between.accept(text, done, start);
            }
            ids.add(token.id());
            done = at;
        }
        if (text.length() > done) {
            between.accept(text, done, text.length());
        }
    }

    private static boolean isWord(int codePoint) {
        return WORD.matcher(Character.toString(codePoint)).matches();
    }

    /** Unicode White_Space, all of which lies in the BMP. */
    private static boolean isSpace(char c) {
        return Character.isSpaceChar(c) || c >= '\t' && c <= '\r' || c == 0x85;
    }
}
