"""Using a trained student: one ``predict`` over every format."""
