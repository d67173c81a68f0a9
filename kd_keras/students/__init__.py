"""BiLSTM students: plain Keras 3 functional models of built-in layers."""
