"""`smg workers` and `smg top`: tools of an operator over the HTTP API of a running gateway.

They know the gateway only by its URLs: nothing here imports what runs inside it. The modules that
print import `rich`, so a command is imported when it is chosen, not before.
"""

from __future__ import annotations
