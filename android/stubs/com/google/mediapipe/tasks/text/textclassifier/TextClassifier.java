// Signatures alone: enough to compile the files of android/ without Android.
package com.google.mediapipe.tasks.text.textclassifier;

import android.content.Context;

public final class TextClassifier implements AutoCloseable {
    public static TextClassifier createFromFile(Context context, String path) { throw new UnsupportedOperationException(); }

    public TextClassifierResult classify(String text) { throw new UnsupportedOperationException(); }

    @Override
    public void close() {}
}
