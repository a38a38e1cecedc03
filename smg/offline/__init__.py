"""`smg tokenize`, `smg render`, `smg parse`: see what tokenizers, templates and parsers do.

The same code that a gateway runs, without a gateway (docs/guide/tokenizers.md).
"""

from __future__ import annotations
