// Signatures alone: enough to compile the files of android/ without Android.
package com.google.mediapipe.tasks.text.textembedder;

import android.content.Context;
import com.google.mediapipe.tasks.components.containers.Embedding;

public final class TextEmbedder implements AutoCloseable {
    public static TextEmbedder createFromFile(Context context, String path) { throw new UnsupportedOperationException(); }

    public static double cosineSimilarity(Embedding u, Embedding v) { throw new UnsupportedOperationException(); }

    public TextEmbedderResult embed(String text) { throw new UnsupportedOperationException(); }

    @Override
    public void close() {}
}
