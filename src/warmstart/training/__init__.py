"""Recipes, the outer loop and the search for settings."""
