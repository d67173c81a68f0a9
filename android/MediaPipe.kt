// MediaPipe Tasks with the unrolled files, which contain vocabulary and labels: com.google.mediapipe:tasks-text.
package kdkeras

import android.content.Context
import com.google.mediapipe.tasks.text.textclassifier.TextClassifier
import com.google.mediapipe.tasks.text.textembedder.TextEmbedder

fun mediaPipeClassifierExample(context: Context) {
    val classifier = TextClassifier.createFromFile(context, "dynamic.tflite")         // only once: it takes some milliseconds
    val found = classifier.classify(plain("a gorgeous film"))                         // for a student of words: lowercase()
    val best = found.classificationResult().classifications().first().categories().maxByOrNull { it.score() }!!
    println("${best.categoryName()} ${best.score()}")
}

fun mediaPipeEmbedderExample(context: Context) {
    val embedder = TextEmbedder.createFromFile(context, "dynamic.tflite")
    val (a, b) = listOf("how do I reset my password", "I forgot my password").map {
        embedder.embed(plain(it)).embeddingResult().embeddings().first()
    }
    println(TextEmbedder.cosineSimilarity(a, b))
}
