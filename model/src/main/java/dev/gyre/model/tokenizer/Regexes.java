package dev.gyre.model.tokenizer;

import dev.gyre.attention.EngineException;

import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * Oniguruma patterns, in which {@code tokenizer.json} is written, as {@link Pattern}s that match the same.
 *
 * <p>Most is said by flags: UNICODE_CHARACTER_CLASS makes {@code \s \S \d} the Unicode properties they are in Oniguruma
 * (NBSP and U+3000 are spaces) and leaves the general categories {@code \p{L} \p{P} ...} as they are; UNIX_LINES and
 * MULTILINE give {@code . ^ $} their meaning there. What flags cannot say is rewritten here, and syntax that would
 * silently mean something else in Java is refused. Nested {@code [ ]} and {@code &&} in a class are set operators in
 * both.
 *
 * <p>On time: java.util.regex runs {@code [class]+}, {@code \s*} and their like in a loop, without recursion, so the
 * patterns of DeepSeek, GPT-2 and their kin need no stack for long runs. Nor are they quadratic: the alternatives that
 * walk back over a run, {@code \s*[\r\n]+} and {@code \s+(?!\S)}, do so at most once each and are followed by a match
 * that takes in the run (but for its last character). So nothing has to be made possessive. A pattern of another kind
 * that does overflow the stack is reported by {@link PreTokenizer}.
 */
final class Regexes {
    private static final int LONGEST = 1 << 16;
    private static final int FLAGS = Pattern.UNICODE_CHARACTER_CLASS | Pattern.UNIX_LINES | Pattern.MULTILINE;
    /** Escapes with one meaning in both; {@code \h} for one is a hexadecimal digit in Oniguruma and a blank in Java. */
    private static final String SAME_ESCAPES = "dDsSxunrtfaebBAzZ123456789";
    /** Oniguruma's word characters; Java's also hold the two zero-width joiners. */
    private static final String WORD = "\\p{IsAlphabetic}\\p{M}\\p{Nd}\\p{Pc}]";

    private final String regex;
    private final String where;
    private final StringBuilder java = new StringBuilder();
    private int at;
    private int classDepth;

    private Regexes(String regex, String where) {
        this.regex = regex;
        this.where = where;
    }

    static Pattern literal(String text) {
        return Pattern.compile(text, Pattern.LITERAL);
    }

    static Pattern compile(String regex, String where) {
        if (regex.length() > LONGEST) {
            throw new EngineException("A pre_tokenizer regex in " + where + " has " + regex.length()
                    + " characters and the limit is " + LONGEST + "; use the tokenizer.json that came with the model.");
        }
        var translation = new Regexes(regex, where);
        try {
            return Pattern.compile(translation.translate(), FLAGS);
        } catch (StackOverflowError e) {
            // the JDK compiles by recursion and says so itself for some patterns only; nothing is left half done
            throw translation.unsupported("groups nested too deeply", e);
        } catch (PatternSyntaxException e) {
            throw translation.unsupported(e.getDescription(), e);
        } catch (IllegalArgumentException | IndexOutOfBoundsException e) {
            throw translation.unsupported("a syntax that Java cannot read", e);
        }
    }

    private String translate() {
        while (at < regex.length()) {
            char c = regex.charAt(at);
            if (c == '\\') {
                escape();
                continue;
            }
            if (c == '[') {
                if (classDepth > 0 && regex.startsWith("[:", at)) {
                    throw unsupported("a POSIX bracket", null);
                }
                classDepth++;
            } else if (c == ']' && classDepth > 0) {
                classDepth--;
            } else if (c == '(' && classDepth == 0) {
                checkGroup();
            } else if (c == '+' && classDepth == 0 && at > 0 && regex.charAt(at - 1) == '}' && !escapedBrace()) {
                throw unsupported("a '+' after '{n,m}' (a repetition in Oniguruma, possessive in Java)", null);
            }
            java.append(c);
            at++;
        }
        return java.toString();
    }

    private boolean escapedBrace() {
        int open = regex.lastIndexOf('{', at);
        boolean ofEscape = open > 1 && regex.charAt(open - 2) == '\\' && "pPx".indexOf(regex.charAt(open - 1)) >= 0;
        return ofEscape || at > 1 && regex.charAt(at - 2) == '\\';
    }

    private void escape() {
        if (at + 1 == regex.length()) {
            throw unsupported("a lone backslash at its end", null);
        }
        char letter = regex.charAt(at + 1);
        if (letter == 'p' || letter == 'P') {
            property(letter);
            return;
        }
        at += 2;
        if (letter == 'w' || letter == 'W') {
            java.append(letter == 'w' ? "[" : "[^").append(WORD);
        } else if (letter >= 0x80 || !Character.isLetterOrDigit(letter) || SAME_ESCAPES.indexOf(letter) >= 0) {
            java.append('\\').append(letter);
        } else {
            throw unsupported("the escape \\" + letter, null);
        }
    }

    /** {@code \p{Han}} and {@code \p{^L}} are {@code \p{IsHan}} and {@code \P{L}} in Java. */
    private void property(char letter) {
        int end = regex.indexOf('}', at);
        if (end < 0 || regex.charAt(at + 2) != '{') {
            throw unsupported("\\p without braces", null);
        }
        String name = regex.substring(at + 3, end);
        at = end + 1;
        boolean negated = letter == 'P';
        if (name.startsWith("^")) {
            negated = !negated;
            name = name.substring(1);
        }
        java.append(negated ? "\\P{" : "\\p{").append(isScript(name) ? "Is" : "").append(name).append('}');
    }

    private static boolean isScript(String name) {
        if (name.length() < 3) {
            return false; // general categories: L, Lu, ...
        }
        try {
            Character.UnicodeScript.forName(name);
            return true;
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    private void checkGroup() {
        if (!regex.startsWith("(?", at)) {
            return;
        }
        for (int i = at + 2; i < regex.length() && ":)=!<>".indexOf(regex.charAt(i)) < 0; i++) {
            if (regex.charAt(i) != 'i' && regex.charAt(i) != '-') {
                throw unsupported("the group (?" + regex.charAt(i), null);
            }
        }
    }

    private EngineException unsupported(String what, Throwable cause) {
        String shown = regex.length() > 100 ? regex.substring(0, 100) + "..." : regex;
        return new EngineException("The pre_tokenizer regex \"" + shown + "\" in " + where + " cannot be used ("
                + what + "); use the tokenizer.json that came with the model.", cause);
    }
}
