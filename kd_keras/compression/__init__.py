"""Pruned and clustered students."""
