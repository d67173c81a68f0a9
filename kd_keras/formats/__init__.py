"""How a student is written to, and run from, each file format."""
