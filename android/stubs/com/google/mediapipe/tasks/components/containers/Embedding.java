// Signatures alone: enough to compile the files of android/ without Android.
package com.google.mediapipe.tasks.components.containers;

public abstract class Embedding {
    public abstract float[] floatEmbedding();
}
