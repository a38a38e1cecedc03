"""Between messages and prompt ids, and between ids and text: tokenizers, templates, caches.

A library without a socket: files are read when a tokenizer is loaded, everything after that is
pure computing. `tokenizers`, `tiktoken` and `jinja2` (the extra `tokenizers`) are imported when
the first tokenizer is loaded, never at start. One page about it: docs/develop/tokenization.md.
"""

from __future__ import annotations
