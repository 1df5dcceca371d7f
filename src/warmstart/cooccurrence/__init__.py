"""Counts of what goes together, and their inverse."""
