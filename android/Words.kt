// The words of a text, for a tagger. Plain Kotlin. kd_keras/text/words.py and browser/words.js have the same rules.
package kdkeras

data class Word(val start: Int, val end: Int)                                    // text.substring(start, end)

private enum class Kind { SPACE, MARK, WORD, ALONE, POINT }

private fun cased(pattern: String) = Regex(pattern, RegexOption.IGNORE_CASE)
private val elided = cased("[cdjlmnst]|qu|un|(?:d|n|s|qu|a|co)?e?a?ll|quest")
private val enclitic = cased("^['\u2019](?:s|t|d|m|ll|re|ve)(?![\\p{L}\\p{N}_])")

// Scripts without spaces between words. Each of their characters is a word.
private val alone = listOf(
    0x0e00..0x0eff, 0x1780..0x17ff, 0x2e80..0x2fdf, 0x3005..0x3007, 0x3021..0x30ff, 0x31f0..0x31ff, 0x3400..0x4dbf,
    0x4e00..0x9fff, 0xf900..0xfaff, 0xff66..0xff9f, 0x1b000..0x1b16f, 0x20000..0x3ffff,
)
// In no word, as white space: of no width, of byte order, and marks that say in which direction text is written.
private val unseen = setOf(0x200b, 0xfeff, 0x61c, 0x200e, 0x200f) + (0x202a..0x202e) + (0x2066..0x2069)
private val spaces = (0x9..0xd) + (0x1c..0x1f) + 0x85
private const val JOINER = 0x200d
private const val POINT = '.'.code

/** What a character does: a mark joins what it follows, letters and digits join each other, others join nothing. */
private fun kind(c: Int): Kind = when (Character.getType(c).toByte()) {
    Character.SPACE_SEPARATOR, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR -> Kind.SPACE
    Character.NON_SPACING_MARK, Character.COMBINING_SPACING_MARK, Character.ENCLOSING_MARK -> Kind.MARK
    Character.FORMAT -> if (c in unseen) Kind.SPACE else Kind.MARK
    Character.DECIMAL_DIGIT_NUMBER, Character.LETTER_NUMBER, Character.OTHER_NUMBER -> letterOrDigit(c)
    else -> when {
        c in spaces -> Kind.SPACE
        c in 0x1f3fb..0x1f3ff -> Kind.MARK
        Character.isLetter(c) || c == '_'.code -> letterOrDigit(c)
        else -> Kind.POINT
    }
}

private fun letterOrDigit(c: Int) = if (alone.any { c in it }) Kind.ALONE else Kind.WORD
private fun isFlag(c: Int) = c in 0x1f1e6..0x1f1ff
private fun isLetter(c: Int) =
    Character.isLetter(c) || Character.getType(c).toByte().let { it == Character.LETTER_NUMBER || it == Character.OTHER_NUMBER }

/** The words of a text, in order. An app can pass its own words instead. */
fun words(text: String): List<Word> {
    val chars = text.codePoints().toArray()
    val at = IntArray(chars.size + 1)                                            // where each begins in the string
    for (n in chars.indices) at[n + 1] = at[n] + Character.charCount(chars[n])
    val found = mutableListOf<Word>()
    var start = -1                                                               // of the open word, if one is open
    var open = Kind.SPACE
    fun close(end: Int) {
        if (start >= 0) found += Word(at[start], at[end])
        start = -1
    }
    fun begin(place: Int, kind: Kind) {
        close(place)
        start = place
        open = kind
    }
    var n = 0
    while (n < chars.size) {
        val now = kind(chars[n])
        if (now == Kind.SPACE) close(n)
        else if (start < 0) begin(n, now)
        else if (open == Kind.MARK && (now == Kind.WORD || now == Kind.ALONE)) open = now   // a mark after nothing
        else if (now != Kind.MARK && !goesOn(chars, start, n, open, now)) {
            val size = if (now == Kind.POINT && open == Kind.WORD) inner(chars, start, n) else 0
            if (size < 0) close(n + 1)                                           // an elided word ends with its apostrophe
            else if (size == 0) begin(n, now)
            else if (size > 1) {                                                 // 's and similar endings
                begin(n, Kind.WORD)
                n += size - 1
            }
        }
        n++
    }
    close(chars.size)
    return found
}

/** Whether a character other than a mark belongs to the open word, by the kinds of both. */
private fun goesOn(chars: IntArray, start: Int, at: Int, open: Kind, now: Kind): Boolean {
    if (now != Kind.POINT) return now == Kind.WORD && open == Kind.WORD
    val flag = isFlag(chars[at]) && isFlag(chars[at - 1]) && at - start == 1
    return open == Kind.POINT && (chars[at - 1] == JOINER || flag)
}

/** What punctuation is for the open word: 1 a part of it, -1 its end, over 1 a word of that size, 0 none of these. */
private fun inner(chars: IntArray, start: Int, at: Int): Int {
    fun string(from: Int, to: Int) = String(chars, from, minOf(to, chars.size) - from)
    fun char(n: Int) = if (n < chars.size) chars[n] else -1                      // -1: the text has ended
    val c = chars[at]
    val before = chars[at - 1]
    val after = char(at + 1)
    val next = char(at + 2)
    val more = if (after >= 0 && kind(after) == Kind.WORD) 1 else 0
    if (c == '\''.code || c == 0x2019) {
        enclitic.find(string(at, at + 4))?.let { return it.value.length }
        return if (more == 1 && elided.matches(string(start, at))) -1 else more
    }
    if (c == '-'.code || c == 0x2010 || c == 0x2011 || c == '&'.code) return more
    if ((c == POINT || c == ','.code || c == ':'.code) && Character.isDigit(before) && Character.isDigit(after)) return 1
    if (c != POINT || !isLetter(before)) return 0
    if (at - start > 1)                                                          // U.S: its points were read as initials'
        return if (chars[at - 2] == POINT && chars[start + 1] == POINT && isLetter(chars[start])) 1 else 0
    val inside = next == POINT && Character.isLetter(after)
    val initial = Character.isUpperCase(before) && after == ' '.code && next >= 0 && Character.isUpperCase(next)
    return if (inside || initial) 1 else 0
}
