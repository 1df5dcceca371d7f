"""Versions of models, and refits."""
