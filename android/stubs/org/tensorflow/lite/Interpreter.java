// Signatures alone: enough to compile the files of android/ without Android.
package org.tensorflow.lite;

import java.nio.ByteBuffer;

public final class Interpreter implements AutoCloseable {
    public static class Options {
        public Options setNumThreads(int numThreads) { throw new UnsupportedOperationException(); }
    }

    public Interpreter(ByteBuffer model, Options options) {}

    public void resizeInput(int index, int[] dims) {}

    public void run(Object input, Object output) {}

    public Tensor getOutputTensor(int index) { throw new UnsupportedOperationException(); }

    @Override
    public void close() {}
}
