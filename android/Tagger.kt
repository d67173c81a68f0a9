// A tagger with a plain interpreter: entities with their places in the text.
package kdkeras

import android.content.Context

/** @param room pieces of a window: "max_length" in metadata.json */
class Tagger @JvmOverloads constructor(
    context: Context,
    private val room: Int,
    file: String = "loop_dynamic.tflite",
) : AutoCloseable {
    private val labels = context.lines("labels.txt")
    private val tokenizer = WordPiece(context.lines("vocab.txt"), room, lowercase = false)
    private val model = AnyLength(context, file)

    fun entities(text: String): List<Entity> =
        entities(text, tokenizer, labels, room) { ids -> model.ofPieces(ids.toList()) }

    override fun close() = model.close()
}

fun taggerExample(context: Context) {
    val text = "Ada Lovelace was born in London."
    Tagger(context, room = 128).use { tagger ->
        for (entity in tagger.entities(text))
            println("${entity.type} ${text.substring(entity.start, entity.end)} ${entity.score}")
    }
}
