"""Comparisons of learners and their reports."""
