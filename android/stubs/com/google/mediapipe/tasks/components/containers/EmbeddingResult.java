// Signatures alone: enough to compile the files of android/ without Android.
package com.google.mediapipe.tasks.components.containers;

import java.util.List;

public abstract class EmbeddingResult {
    public abstract List<Embedding> embeddings();
}
