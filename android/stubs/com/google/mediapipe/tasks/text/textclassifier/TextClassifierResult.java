// Signatures alone: enough to compile the files of android/ without Android.
package com.google.mediapipe.tasks.text.textclassifier;

import com.google.mediapipe.tasks.components.containers.ClassificationResult;

public abstract class TextClassifierResult {
    public abstract ClassificationResult classificationResult();
}
