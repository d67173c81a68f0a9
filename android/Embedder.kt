// Vectors of texts from a universal student (python -m kd_keras.pretrain), with a plain interpreter.
package kdkeras

import android.content.Context
import kotlin.math.sqrt

class Embedder @JvmOverloads constructor(
    context: Context,
    private val tokenizer: Tokenizer,
    file: String = "loop_dynamic.tflite",
) : AutoCloseable {
    private val model = AnyLength(context, file)

    fun vector(text: String): FloatArray = model.ofText(tokenizer.ids(text))

    override fun close() = model.close()
}

/** From -1 to 1. It is high for texts with similar meaning. With vectors of length 1 it is the sum of products. */
fun cosine(a: FloatArray, b: FloatArray): Float {
    fun product(x: FloatArray, y: FloatArray) = x.indices.sumOf { x[it].toDouble() * y[it] }
    return (product(a, b) / sqrt(product(a, a) * product(b, b))).toFloat()
}

fun embedderExample(context: Context) {
    val tokenizer = WordPiece(context.lines("vocab.txt"), maxLength = 64)             // "max_length" in metadata.json
    Embedder(context, tokenizer).use { embedder ->
        println(cosine(embedder.vector("how do I reset my password"), embedder.vector("I forgot my password")))
    }
}
