"""Experts in closed form, and what combines them."""
