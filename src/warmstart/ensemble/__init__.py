"""Ensembles: closed-form experts, a stack with its combiner, a switch by number of shots."""
