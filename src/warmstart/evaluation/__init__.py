"""Metrics, intervals and calibration of any scorer."""
