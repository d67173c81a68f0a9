// Signatures alone: enough to compile the files of android/ without Android.
package com.google.mediapipe.tasks.components.containers;

public abstract class Category {
    public abstract float score();

    public abstract String categoryName();
}
