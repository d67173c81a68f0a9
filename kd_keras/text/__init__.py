"""Text → ids → batches: tokenizers, vocabularies, embedding initialisers, length-bucketed batches."""
