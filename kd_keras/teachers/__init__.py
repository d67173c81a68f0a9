"""BERT teachers: where their files are, the Keras functional model, fine-tuning, and their signals on disk.

The only folder that uses tf_keras and transformers; everything to its right reads arrays.
"""
