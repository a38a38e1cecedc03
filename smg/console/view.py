"""Draws a frame of `smg top`: the gateway in two lines, then a line for each worker."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from smg.console.frame import BY_LOAD, Frame, Overview, Row
from smg.console.tables import STATUS_STYLES, Column, fitted
from smg.console.text import UNKNOWN, age, number, percent, plain, seconds, short_id

HINTS = (
    *("q quit", "sort by: u url", "m model", "s status", "l load", "r req/s", "e err/s"),
    *("p priority", "c cost", "(again: turned)"),
)
Item = tuple[str, str]  # text and style
_BETWEEN = "  "


def draw(
    frame: Frame,
    rows: Sequence[Row],
    width: int | None,
    *,
    height: int | None = None,
    unicode: bool = True,
    notice: str | None = None,
    footer: str | None = None,
) -> RenderableType:
    """The picture. `rows` are the frame's in the order wanted; `width` and `height` are what the
    terminal has (None: no limit). `notice` says why the picture is old, `footer` stands below it.
    """
    head = [*flow(_about(frame.overview), width), *flow(_figures(frame.overview), width)]
    notes = [Text(plain(text), "yellow") for text in (*frame.problems, notice) if text]
    notes += _legend(frame)
    foot = flow([(hint, "dim") for hint in HINTS], width) if footer is not None else []
    if footer:
        foot.append(Text(footer, "dim"))
    shown = list(rows)
    if height is not None:
        taken = len(head) + 1 + 1 + sum(_lines(note, width) for note in notes) + 1 + len(foot)
        room = max(1, height - taken)
        if len(shown) > room:
            shown = shown[: max(1, room - 1)]
    table = fitted(_columns(frame, shown, unicode), width, mark="…" if unicode else "~")
    parts: list[RenderableType] = [*head, Text(), table]
    if len(shown) < len(rows):
        parts.append(Text(f"and {len(rows) - len(shown)} more", "dim"))
    if not rows:
        parts.append(Text("no workers", "dim"))
    if notes or foot:
        parts += [Text(), *notes, *foot]
    return Group(*parts)


def flow(items: Sequence[Item], width: int | None) -> list[Text]:
    """Items side by side, in as many lines as they need; none is broken."""
    lines: list[Text] = []
    used = 0
    for text, style in items:
        size = cell_len(text)
        if lines and (width is None or used + len(_BETWEEN) + size <= width):
            lines[-1].append(_BETWEEN)
            used += len(_BETWEEN) + size
        else:
            lines.append(Text(no_wrap=True, overflow="crop"))
            used = size
        lines[-1].append(text, style)
    return lines


def _about(overview: Overview) -> list[Item]:
    items = [(f"smg {overview.version or UNKNOWN}", "bold"), (plain(overview.url), "")]
    if overview.uptime_secs is not None:
        items.append((f"up {age(overview.uptime_secs)}", ""))
    count = f"{overview.healthy_workers}/{overview.total_workers} healthy"
    if overview.ready is None:
        return [*items, (count, "")]
    if overview.ready:
        return [*items, ("ready", "green"), (count, "")]
    reason = f": {overview.reason}" if overview.reason else ""
    return [*items, (f"not ready{reason}", "bold red"), (count, "")]


def _figures(overview: Overview) -> list[Item]:
    errors = overview.error_ratio
    bad = "bold red" if errors is not None and errors > 0 else ""
    items = [
        (f"requests {_per_second(overview.requests_per_sec)}", ""),
        (f"in flight {number(overview.in_flight)}", ""),
        (f"errors {percent(errors)}", bad),
        (f"cache hits {percent(overview.cache_hit_ratio)}", ""),
        (f"ttft p50 {seconds(overview.ttft_p50_secs)} p99 {seconds(overview.ttft_p99_secs)}", ""),
    ]
    if overview.tokens_per_sec is not None:
        items.append((f"tokens {_per_second(overview.tokens_per_sec)}", ""))
    return items


def _per_second(rate: float | None) -> str:
    return UNKNOWN if rate is None else f"{number(rate)}/s"


def _legend(frame: Frame) -> list[Text]:
    if not frame.rows:
        return []
    what = "requests in flight" if frame.share_of == BY_LOAD else "requests answered"
    return [Text(f"share: of {what}", "dim")]


def _columns(frame: Frame, rows: Sequence[Row], unicode: bool) -> list[Column]:
    up, down = ("●", "○") if unicode else ("+", "-")
    styles = [STATUS_STYLES.get(row.status, "") for row in rows]
    columns = [
        Column("", [up if row.healthy else down for row in rows], styles=styles),
        Column("ID", [short_id(row.id) for row in rows], drop=8),
        Column("URL", [row.url for row in rows], least=12),
        Column("MODEL", [row.model for row in rows], drop=4, least=8),
        Column("STATUS", [row.status for row in rows], drop=1, styles=styles),
        Column("LOAD", [str(row.load) for row in rows], right=True),
        Column("REQ/S", [number(row.requests_per_sec) for row in rows], right=True, drop=2),
        Column("ERR/S", [number(row.errors_per_sec) for row in rows], right=True, drop=3),
        Column("SHARE", [percent(row.share) for row in rows], right=True, drop=5),
        Column("PRIO", [number(row.priority) for row in rows], right=True, drop=6),
        Column("COST", [number(row.cost) for row in rows], right=True, drop=7),
    ]
    if all(row.requests_per_sec is None for row in frame.rows):
        # This gateway does not count by worker, or there is one scrape only: no empty columns.
        columns = [column for column in columns if column.title not in ("REQ/S", "ERR/S")]
    return columns


def _lines(text: Text, width: int | None) -> int:
    return 1 if not width else -(-text.cell_len // width) or 1
