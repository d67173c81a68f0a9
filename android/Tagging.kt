// From text to entities, with a tagger's file. Plain Kotlin, which does not need Android.
package kdkeras

data class Window(val first: Int, val last: Int, val decides: List<Int>)         // words first to last - 1
data class Entity(val type: String, val start: Int, val end: Int, val score: Double)

/** The windows of words with so many pieces each. No window has more than `room` pieces. */
fun windows(sizes: List<Int>, room: Int): List<Window> {
    if (sizes.isEmpty()) return emptyList()
    val starts = sizes.runningFold(0, Int::plus)
    val spans = mutableListOf<IntRange>()
    var begin = 0
    while (true) {
        val stop = (begin + 1..sizes.size).last { starts[it] - starts[begin] <= room }
        spans += begin until stop
        if (stop == sizes.size) break
        val half = (0..sizes.size).first { starts[it] - starts[begin] >= room / 2 }
        begin = minOf(stop, maxOf(begin + 1, half))                              // moves half a window, at least one word
    }
    val far = starts.last() + room                                               // the ends of the text are not cuts
    fun context(word: Int, span: IntRange) = minOf(
        if (span.first == 0) far else starts[word] - starts[span.first],
        if (span.last == sizes.size - 1) far else starts[span.last + 1] - starts[word + 1],
    )
    val owner = sizes.indices.map { word -> spans.filter { word in it }.maxByOrNull { context(word, it) }!! }
    val each = spans.map { span -> Window(span.first, span.last + 1, span.filter { owner[it] == span }) }
    return each.filter { it.decides.isNotEmpty() }
}

/** The valid IOB2 tags, one a word, with the highest sum of logits: I follows only B or I of its type. */
fun tags(logits: List<FloatArray>): IntArray {
    if (logits.isEmpty()) return IntArray(0)
    val size = logits[0].size
    fun goesOn(tag: Int) = tag > 0 && tag % 2 == 0
    var score = DoubleArray(size) { if (goesOn(it)) Double.NEGATIVE_INFINITY else logits[0][it].toDouble() }
    val came = logits.drop(1).map { word ->
        val best = score.indices.maxByOrNull { score[it] }!!
        val from = IntArray(size) { if (!goesOn(it)) best else if (score[it] > score[it - 1]) it else it - 1 }
        score = DoubleArray(size) { score[from[it]] + word[it] }
        from
    }
    val found = IntArray(logits.size)
    found[logits.size - 1] = score.indices.maxByOrNull { score[it] }!!
    for (word in logits.size - 2 downTo 0) found[word] = came[word][found[word + 1]]
    return found
}

/** The entities by the words' logits. An entity's score is the lowest probability of its words' tags. */
fun entities(words: List<Word>, logits: List<FloatArray>, labels: List<String>): List<Entity> {
    val found = mutableListOf<Entity>()
    tags(logits).forEachIndexed { word, tag ->
        val most = logits[word].max()
        val sure = Math.exp((logits[word][tag] - most).toDouble()) / logits[word].sumOf { Math.exp((it - most).toDouble()) }
        if (tag % 2 == 1) {
            found += Entity(labels[tag].removePrefix("B-"), words[word].start, words[word].end, sure)
        } else if (tag > 0) {
            val last = found.removeAt(found.size - 1)
            found += last.copy(end = words[word].end, score = minOf(last.score, sure))
        }
    }
    return found
}

/** The entities of a text. `answer` gives the logits of each id, float[ids][tags], and reads at most `room` ids. */
fun entities(
    text: String, tokenizer: WordPiece, labels: List<String>, room: Int, answer: (IntArray) -> Array<FloatArray>,
): List<Entity> {
    val words = words(text)
    val ids = words.map { tokenizer.piecesOfWord(text.substring(it.start, it.end)).take(room) }
    val logits = arrayOfNulls<FloatArray>(words.size)
    for (window in windows(ids.map { it.size }, room)) {
        val said = answer(ids.subList(window.first, window.last).flatten().toIntArray())
        for (word in window.decides) logits[word] = said[ids.subList(window.first, word).sumOf { it.size }]
    }
    return entities(words, logits.map { it!! }, labels)
}
