// From text to ids, as in kd_keras' training. Plain Kotlin, which does not need Android.
package kdkeras

import java.text.Normalizer

private const val MASK = "[MASK]"
private const val UNKNOWN = "[UNK]"

interface Tokenizer {
    /** The ids of a text, at most as many as the student reads. An empty text has none. */
    fun ids(text: String): List<Int>
}

/**
 * "kind": "wordpiece" in metadata.json. The other arguments are in its "tokenizer" too. If one is missing there, its
 * default here is right. There is no [CLS] and no [SEP].
 *
 * @param vocab the lines of vocab.txt. The line's number, from 0, is the id
 */
class WordPiece @JvmOverloads constructor(
    vocab: List<String>,
    private val maxLength: Int,                          // "max_length"
    private val lowercase: Boolean = true,
    private val truncation: String = "head",
    private val stripAccents: Boolean = lowercase,       // "strip_accents"
    private val chineseChars: Boolean = true,            // "tokenize_chinese_chars"
) : Tokenizer {
    private val index = vocab.withIndex().associate { (id, piece) -> piece to id }
    private val unknown = index.getValue(UNKNOWN)

    override fun ids(text: String) = cut(pieces(text), maxLength, truncation)

    /** The ids of a text of any length. */
    fun pieces(text: String): List<Int> = aroundMask(text, index[MASK]) { part, found ->
        for (word in split(plain(part, lowercase, stripAccents, chineseChars))) longest(word, found)
    }

    /** The ids of a tagger's word, at least one: a word with only control characters is unknown. */
    fun piecesOfWord(word: String) = pieces(word).ifEmpty { listOf(unknown) }

    private fun longest(word: String, found: MutableList<Int>) {
        val before = found.size
        var start = 0
        while (start < word.length) {                    // the longest piece that fits
            val mark = if (start == 0) "" else "##"
            val end = (word.length downTo start + 1).firstOrNull { mark + word.substring(start, it) in index }
            if (end == null || word.codePointCount(0, word.length) > 100) {
                while (found.size > before) found.removeAt(found.size - 1)
                found += unknown
                return
            }
            found += index.getValue(mark + word.substring(start, end))
            start = end
        }
    }
}

/** "kind": "words" in metadata.json, with its own delimiter. */
class WordTokenizer @JvmOverloads constructor(
    vocab: List<String>,
    private val maxLength: Int,
    private val lowercase: Boolean = true,
    private val truncation: String = "head",
) : Tokenizer {
    private val index = vocab.withIndex().associate { (id, word) -> word to id }
    private val unknown = index.getValue(UNKNOWN)
    private val between = Regex("[^\\p{L}\\p{N}_']+")

    override fun ids(text: String): List<Int> {
        val found = aroundMask(text, index[MASK]) { part, found ->
            val words = (if (lowercase) part.lowercase() else part).split(between)
            words.filter { it.isNotEmpty() }.mapTo(found) { index[it] ?: unknown }
        }
        return cut(found, maxLength, truncation)
    }
}

/** Changes a text as BERT does before splitting it. MediaPipe's tokenizer needs such texts too. */
@JvmOverloads
fun plain(
    text: String, lowercase: Boolean = true, stripAccents: Boolean = lowercase, chineseChars: Boolean = false,
): String {
    var clean = buildString {
        text.codePoints().forEach {
            if (isSpace(it)) append(' ')
            else if (chineseChars && isChinese(it)) append(' ').appendCodePoint(it).append(' ')
            else if (!isDropped(it)) appendCodePoint(it)
        }
    }
    if (stripAccents) clean = Normalizer.normalize(clean, Normalizer.Form.NFD).codePointsWithout { isMark(it) }
    if (lowercase) clean = buildString {                 // each character alone, so a final Σ becomes σ
        clean.codePoints().forEach { append(String(Character.toChars(it)).lowercase()) }
    }
    return clean
}

/** The ids of a long text that are kept: those of the head, the tail, or a quarter of the head and the rest of the tail. */
fun cut(ids: List<Int>, room: Int, truncation: String): List<Int> {
    if (ids.size <= room) return ids
    val first = when (truncation) { "head" -> room; "tail" -> 0; "head_tail" -> (room + 3) / 4; else -> error(truncation) }
    return ids.take(first) + ids.takeLast(room - first)
}

/** [MASK] is the only special token that text can contain, and only in capitals. */
private fun aroundMask(text: String, mask: Int?, add: (String, MutableList<Int>) -> Unit): List<Int> {
    val found = mutableListOf<Int>()
    if (mask == null) return found.also { add(text, it) }
    text.split(MASK).forEachIndexed { n, part ->
        if (n > 0) found += mask
        add(part, found)
    }
    return found
}

/** Words, and each punctuation mark alone. */
private fun split(clean: String): List<String> {
    val words = mutableListOf<String>()
    val word = StringBuilder()
    fun end() { if (word.isNotEmpty()) words += word.toString(); word.setLength(0) }
    clean.codePoints().forEach {
        if (isSpace(it) || isPunctuation(it)) end()
        if (isPunctuation(it)) words += String(Character.toChars(it))
        else if (!isSpace(it)) word.appendCodePoint(it)
    }
    end()
    return words
}

private inline fun String.codePointsWithout(crossinline drop: (Int) -> Boolean) = buildString {
    this@codePointsWithout.codePoints().forEach { if (!drop(it)) appendCodePoint(it) }
}

private fun isSpace(point: Int) = point == 9 || point == 10 || point == 13 || Character.isSpaceChar(point)

private fun isMark(point: Int) = Character.getType(point) == Character.NON_SPACING_MARK.toInt()

private fun isDropped(point: Int) = point == 0xFFFD || when (Character.getType(point).toByte()) {
    Character.CONTROL, Character.FORMAT, Character.PRIVATE_USE -> true
    else -> false
}

private fun isPunctuation(point: Int) = when (Character.getType(point).toByte()) {
    Character.CONNECTOR_PUNCTUATION, Character.DASH_PUNCTUATION, Character.START_PUNCTUATION, Character.END_PUNCTUATION,
    Character.INITIAL_QUOTE_PUNCTUATION, Character.FINAL_QUOTE_PUNCTUATION, Character.OTHER_PUNCTUATION -> true
    else -> point < 128 && point > 32 && !Character.isLetterOrDigit(point) && point != 127
}

// The ranges of the tokenizers library, which leaves out U+2B820 to U+2B91F.
private fun isChinese(point: Int) = point >= 0x3400 && (
    point in 0x4E00..0x9FFF || point in 0x3400..0x4DBF || point in 0xF900..0xFAFF || point in 0x20000..0x2A6DF ||
        point in 0x2A700..0x2B81F || point in 0x2B920..0x2CEAF || point in 0x2F800..0x2FA1F
    )
