// A classifier, a regression, or a student of several labels, with a plain interpreter.
package kdkeras

import android.content.Context

class Classifier @JvmOverloads constructor(
    context: Context,
    private val tokenizer: Tokenizer,
    file: String = "loop_dynamic.tflite",
) : AutoCloseable {
    val labels = context.lines("labels.txt")
    private val model = AnyLength(context, file)

    /** A score for each of `labels`; for a regression one number. */
    fun scores(text: String): FloatArray = model.ofText(tokenizer.ids(text))

    override fun close() = model.close()
}

fun classifierExample(context: Context) {
    val tokenizer = WordPiece(context.lines("vocab.txt"), maxLength = 64)             // "max_length" in metadata.json
    Classifier(context, tokenizer).use { classifier ->
        val scores = classifier.scores("a gorgeous film")
        val best = scores.indices.maxByOrNull { scores[it] }!!
        println("${classifier.labels[best]} ${scores[best]}")
    }
}
