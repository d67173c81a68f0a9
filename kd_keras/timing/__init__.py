"""Measures how fast, how large and how good the files of a run are."""
