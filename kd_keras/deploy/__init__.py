"""Exports a trained student, and asks it in any format."""
