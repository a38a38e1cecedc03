"""Reasoning parsers: one family of formats per module."""
