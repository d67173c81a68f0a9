// Signatures alone: enough to compile the files of android/ without Android.
package android.content.res;

import java.io.Closeable;
import java.io.FileDescriptor;

public class AssetFileDescriptor implements Closeable {
    public FileDescriptor getFileDescriptor() { throw new UnsupportedOperationException(); }

    public long getStartOffset() { throw new UnsupportedOperationException(); }

    public long getDeclaredLength() { throw new UnsupportedOperationException(); }

    @Override
    public void close() {}
}
