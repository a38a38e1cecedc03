"""Tables that fit: on a narrow terminal the least important columns go first, then long texts lose
their beginning. And the tables of `smg workers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from smg.console.info import Info, load_of, model_name, real, status_of
from smg.console.text import UNKNOWN, number, plain, short_id

GAP = 2  # blanks between columns
STATUS_STYLES = {
    "ready": "green",
    "pending": "yellow",
    "not_ready": "bold yellow",
    "failed": "bold red",
    "draining": "cyan",
}


@dataclass
class Column:
    """A column and what may be done to it: the highest `drop` is left out first (0: never), then
    columns are cut down to `least` characters (None: never).
    """

    title: str
    cells: Sequence[str]
    right: bool = False
    drop: int = 0
    least: int | None = None
    styles: Sequence[str] | None = None

    @property
    def width(self) -> int:
        """What the widest cell needs."""
        return max((cell_len(text) for text in (self.title, *self.cells)), default=0)

    def style(self, place: int) -> str:
        """The style of the cell in that row."""
        return self.styles[place] if self.styles else ""


def fitted(columns: Sequence[Column], width: int | None, *, mark: str = "…") -> Group:
    """The table of `columns` in `width` characters; None: no limit. `mark` stands for what was cut
    away. Lines are laid out here: they do not change with the version of rich.
    """
    kept = list(columns)
    widths = [column.width for column in kept]
    if width is not None:
        kept = _droppable(kept, width)
        widths = _shrunk(kept, width)
    sized = list(zip(kept, widths, strict=True))

    def row(place: int) -> Text:
        return _line(
            [
                (entry, size, cut(entry.cells[place], size, mark), entry.style(place))
                for entry, size in sized
            ]
        )

    head = _line([(entry, size, entry.title, "bold") for entry, size in sized])
    return Group(head, *map(row, range(len(columns[0].cells))))


def _line(cells: Sequence[tuple[Column, int, str, str]]) -> Text:
    """A line of a table from column, width, text and style of each cell."""
    line = Text(no_wrap=True, overflow="crop")
    for column, size, text, style in cells:
        blanks = " " * (size - cell_len(text))
        line.append(blanks if column.right else "").append(text, style)
        line.append("" if column.right else blanks).append(" " * GAP)
    line.rstrip()
    return line


def cut(text: str, width: int, mark: str) -> str:
    """`text` without its beginning where it is too wide: addresses of a fleet differ at the end.
    The usual scheme goes first, and unmarked.
    """
    if cell_len(text) <= width:
        return text
    text = text.removeprefix("http://")
    if cell_len(text) <= width:
        return text
    kept = text[1:]
    while kept and cell_len(mark + kept) > width:
        kept = kept[1:]
    return mark + kept if width >= cell_len(mark) else ""


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _droppable(columns: list[Column], width: int) -> list[Column]:
    """The columns that stay: those that fit when every text is cut as far as it may be."""
    kept = list(columns)
    for column in sorted(columns, key=lambda column: -column.drop):
        least = [
            entry.width if entry.least is None else min(entry.width, entry.least) for entry in kept
        ]
        if _total(least) <= width or not column.drop:
            break
        kept.remove(column)
    return kept


def _shrunk(columns: list[Column], width: int) -> list[int]:
    """Widths that fit if possible; the widest column gives first."""
    widths = [column.width for column in columns]
    while _total(widths) > width:
        giving = [
            place
            for place, column in enumerate(columns)
            if column.least is not None and widths[place] > column.least
        ]
        if not giving:
            break
        widths[max(giving, key=lambda place: widths[place])] -= 1
    return widths


# What `smg workers` shows


def workers_table(workers: Sequence[Info], width: int | None, *, mark: str = "…") -> Group:
    """The list of workers, by URL."""
    rows = sorted(workers, key=lambda info: str(info.get("url", "")))

    def texts(name: str) -> list[str]:
        return [plain(str(info.get(name) or UNKNOWN)) for info in rows]

    statuses = [status_of(info) for info in rows]
    columns = [
        Column("ID", [short_id(str(info.get("id", ""))) for info in rows], drop=2),
        Column("URL", texts("url"), least=16),
        Column("MODEL", [model_name(info) for info in rows], drop=1, least=10),
        Column("TYPE", texts("worker_type"), drop=5),
        Column("ENGINE", texts("runtime_type"), drop=6),
        Column("STATUS", statuses, styles=[STATUS_STYLES.get(status, "") for status in statuses]),
        Column("LOAD", [str(load_of(info)) for info in rows], right=True),
        Column("PRIO", [number(real(info, "priority")) for info in rows], right=True, drop=4),
        Column("COST", [number(real(info, "cost")) for info in rows], right=True, drop=3),
        Column("LABELS", [_labels(info) for info in rows], drop=7, least=16),
    ]
    if not any(info.get("labels") for info in rows):
        columns.pop()
    return fitted(columns, width, mark=mark)


def summary(workers: Sequence[Info]) -> str:
    """`3 workers: 2 ready, 1 failed`."""
    counts: dict[str, int] = {}
    for info in workers:
        counts[status_of(info)] = counts.get(status_of(info), 0) + 1
    order = [*STATUS_STYLES, *sorted(counts.keys() - STATUS_STYLES.keys())]
    parts = ", ".join(f"{counts[status]} {status}" for status in order if status in counts)
    noun = "worker" if len(workers) == 1 else "workers"
    return f"{len(workers)} {noun}: {parts}" if parts else f"0 {noun}"


def worker_table(info: Info) -> Table:
    """Everything about one worker, a line for each fact."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, GAP, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _facts(info):
        style = STATUS_STYLES.get(value, "") if name == "status" else ""
        table.add_row(Text(plain(name)), Text(plain(value), style))
    return table


def _facts(info: Info) -> list[tuple[str, str]]:
    first = ("id", "url", "model_id", "status", "load")
    names = [name for name in first if name in info]
    names += [name for name in info if name not in first]
    facts = []
    for name in names:
        value = info[name]
        if name == "models" and isinstance(value, list):
            cards = (card.get("id", "") if isinstance(card, dict) else card for card in value)
            facts.append((name, ", ".join(map(str, cards))))
        elif isinstance(value, dict):
            facts += [(f"{name}.{key}", _scalar(inner)) for key, inner in value.items()]
        else:
            facts.append((name, _scalar(value)))
    return facts


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return UNKNOWN
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _labels(info: Info) -> str:
    labels = info.get("labels")
    if not isinstance(labels, dict) or not labels:
        return UNKNOWN
    return plain(",".join(f"{name}={value}" for name, value in sorted(labels.items())))
