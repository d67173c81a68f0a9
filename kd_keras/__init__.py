"""kd_keras: distil a BERT text classifier into a BiLSTM that runs on a phone.

Importing the package is cheap: TensorFlow, Keras and transformers are imported by the
modules that need them. A saved student holds only built-in Keras layers, so
``keras.saving.load_model("student.keras")`` needs nothing of this package.
"""

__version__ = "0.1.0"
