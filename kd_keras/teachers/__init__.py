"""BERT teachers: their files, the Keras functional model, fine-tuning, and their signals on disk.

This is the only folder that uses tf_keras and transformers. The folders to its right read arrays.
"""
