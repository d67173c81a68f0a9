// Signatures alone: enough to compile the files of android/ without Android.
package org.tensorflow.lite;

public interface Tensor {
    int[] shape();
}
