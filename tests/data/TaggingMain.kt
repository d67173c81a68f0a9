package kdkeras

fun main(given: Array<String>) {
    val lines = java.io.File(given[0]).readText().split("\n")
    val tokenizer = WordPiece(java.io.File(given[1]).readLines(), 12, lowercase = false)
    val labels = listOf("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    java.io.File(given[2]).printWriter().use { out ->
        for (line in lines) {
            val text = line.split(",").filter { it.isNotEmpty() }.map { it.toInt().toChar() }.joinToString("")
            out.println("words " + words(text).joinToString(" ") { "${it.start},${it.end}" })
            out.println("pieces " + text.split(" ").joinToString(" ") { tokenizer.piecesOfWord(it).joinToString(",") })
            val answer = { ids: IntArray ->
                Array(ids.size) { i ->
                    FloatArray(5) { t -> ((ids[i] * 7 + ids.size * 3 + i * i + t * t * 5) % 11).toFloat() }
                }
            }
            out.println("entities " + entities(text, tokenizer, labels, 12, answer)
                .joinToString(" ") { "${it.type},${it.start},${it.end},${"%.6f".format(java.util.Locale.ROOT, it.score)}" })
        }
    }
}
