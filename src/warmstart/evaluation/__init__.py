"""Metrics, bootstrap and conformal intervals, and calibration of any scorer."""
