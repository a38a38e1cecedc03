"""Reports how late the event loop ran while faults were injected. A report, no verdict: tests run
beside others; `python -m perf.disconnect` measures.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.delays import DELAYS


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of a run on several cores tells the one that reports."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["fault_delays"] = DELAYS.state()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """pytest-xdist: what such a process told."""
    told = getattr(node, "workeroutput", {}).get("fault_delays")
    if told:
        DELAYS.merge(*told)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line at the end of a run that had fault tests."""
    if DELAYS.runs:
        terminalreporter.write_line(DELAYS.line())
