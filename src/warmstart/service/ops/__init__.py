"""What operators need: metrics, logs, self-checks."""
