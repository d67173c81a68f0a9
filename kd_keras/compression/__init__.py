"""Prunes and clusters students."""
