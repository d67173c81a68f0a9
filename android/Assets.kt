// Reads files of RUN/tflite/ that were copied into app/src/main/assets/.
package kdkeras

import android.content.Context
import java.io.FileInputStream
import java.nio.MappedByteBuffer
import java.nio.channels.FileChannel
import org.tensorflow.lite.Interpreter

fun Context.lines(name: String): List<String> = assets.open(name).bufferedReader().use { it.readLines() }

/** Maps a file of the assets. Gradle does not compress .tflite files, so they can be mapped. */
fun Context.mapped(name: String): MappedByteBuffer = assets.openFd(name).use {
    FileInputStream(it.fileDescriptor).channel.map(FileChannel.MapMode.READ_ONLY, it.startOffset, it.declaredLength)
}

/** A file of any length, loop_….tflite: ids in, numbers out. Only one thread at a time may use it. */
class AnyLength(context: Context, file: String) : AutoCloseable {
    private val interpreter = Interpreter(context.mapped(file), Interpreter.Options().setNumThreads(1))

    /** How many numbers the file gives for a text, or for each piece. */
    val size: Int = interpreter.getOutputTensor(0).shape().last()

    /** The numbers for a text: scores, or a vector. An empty text is read as one padding token. */
    fun ofText(ids: List<Int>): FloatArray = arrayOf(FloatArray(size)).also { run(ids.ifEmpty { listOf(0) }, it) }[0]

    /** The numbers for each piece. */
    fun ofPieces(ids: List<Int>): Array<FloatArray> = arrayOf(Array(ids.size) { FloatArray(size) }).also { run(ids, it) }[0]

    private fun run(ids: List<Int>, found: Any) {
        interpreter.resizeInput(0, intArrayOf(1, ids.size))
        interpreter.run(arrayOf(ids.toIntArray()), found)
    }

    override fun close() = interpreter.close()
}
