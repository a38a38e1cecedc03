"""Settings of the interpreter; in a process of its own, since they are for all of it."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import gc, sys
from smg.app.process import SWITCH_INTERVAL, settle
settle()
assert sys.getswitchinterval() == SWITCH_INTERVAL < 0.005
assert gc.get_freeze_count() > 1000
"""


def test_a_process_is_settled():
    subprocess.run([sys.executable, "-c", CODE], check=True)
