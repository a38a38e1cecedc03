"""Compiled leaf modules: bytes and ints in and out, no settings, no logging, nothing else of ours."""
