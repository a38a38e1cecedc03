"""Who may call: keys, compared in constant time and never logged."""

from smg.auth.keys import SharedKey

__all__ = ["SharedKey"]
