"""Measures gateways side by side; see docs/performance.md. Not part of the installed package."""
