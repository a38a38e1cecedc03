"""Traces: which one a request belongs to, what a span holds, and the export to a collector.

Only `export` needs the packages of the extra `tracing`; nothing here is imported without
`--enable-trace`.
"""
