// Signatures alone: enough to compile the files of android/ without Android.
package com.google.mediapipe.tasks.text.textembedder;

import com.google.mediapipe.tasks.components.containers.EmbeddingResult;

public abstract class TextEmbedderResult {
    public abstract EmbeddingResult embeddingResult();
}
