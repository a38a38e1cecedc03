"""Tool-call parsers: one family of formats per module."""
