"""Bayesian matrix factorisation of ratings."""
