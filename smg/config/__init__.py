"""Settings: the flag table, the argument grammar, configuration files, validation and
`RouterConfig`.

Everything derives from the rows in `flags/`. Nothing here opens a listening socket or contacts a
worker.
"""
