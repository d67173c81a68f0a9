// check.py compiles this with the app's files. A line of the jobs' file has a tokenizer, its texts, and a path for the ids.
package kdkeras

import java.io.File

private fun text(line: String) = line.chunked(4).map { it.toInt(16).toChar() }.joinToString("")   // UTF-16 units

private fun tokenizer(given: List<String>): Tokenizer {
    val (kind, vocab, maxLength, lowercase, truncation) = given
    val lines = File(vocab).readLines()
    if (kind == "words") return WordTokenizer(lines, maxLength.toInt(), lowercase.toBoolean(), truncation)
    val (stripAccents, chineseChars) = given.drop(5).map { it.toBoolean() }
    return WordPiece(lines, maxLength.toInt(), lowercase.toBoolean(), truncation, stripAccents, chineseChars)
}

fun main(given: Array<String>) {
    val made = HashMap<List<String>, Tokenizer>()
    for (job in File(given[0]).readLines().map { it.split("\t") }) {
        val (texts, place) = job
        val ids: (String) -> List<Int> = if (job[2] == "split") {
            { given -> words(given).flatMap { listOf(it.start, it.end) } }
        } else {
            made.getOrPut(job.drop(2)) { tokenizer(job.drop(2)) }::ids
        }
        File(place).printWriter().use { out ->
            File(texts).forEachLine { line -> out.println(ids(text(line)).joinToString(" ")) }
        }
    }
}
