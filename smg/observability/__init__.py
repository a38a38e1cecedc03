"""Metrics, their exposition, and logs. Knows nothing of what is measured or logged."""
