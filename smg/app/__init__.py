"""Builds and runs a gateway: `smg.app.main.run(config)` blocks until shutdown.

Nothing is imported here: `smg check` asks modules of this package without an event loop.
"""
