"""What a process does for a gateway that has started: settings of the interpreter."""

from __future__ import annotations

import gc
import sys

#: seconds for which a thread may compute while the event loop waits for the interpreter's lock; by
#: default 0.005
SWITCH_INTERVAL = 0.001


def settle() -> None:
    """Called once, when all that lives as long as the process is there."""
    # The collector need not walk what exists now again and again.
    gc.collect()
    gc.freeze()
    # Tokenizers and scrapes compute on threads of their own, often in many short steps.
    sys.setswitchinterval(SWITCH_INTERVAL)
