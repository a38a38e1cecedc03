"""`smg top`: what the gateway does now, in a terminal."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from smg.console.client import GatewayClient
from smg.console.errors import ConsoleError, run_guarded
from smg.console.frame import SORTS, Frame, build, ordered
from smg.console.options import add_connection_options, connect, positive
from smg.console.rates import Scrape, parse, window
from smg.console.workers_api import WorkersApi

METRICS_PORT = 29000
DEFAULT_INTERVAL = 2.0  # seconds
WINDOW = 10.0  # seconds that rates look back, so that a quiet moment does not read as an outage
SORT_KEYS = {
    "u": "url",
    "m": "model",
    "s": "status",
    "l": "load",
    "r": "requests",
    "e": "errors",
    "p": "priority",
    "c": "cost",
}


def main(argv: Sequence[str]) -> int:
    """Run `smg top`; returns the exit code (0, 1 refused, 2 usage, 3 unreachable)."""
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return run_guarded(lambda: _run(arguments), as_json=arguments.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smg top",
        description="Watch a running gateway: requests, errors, times, and every worker.",
        epilog="Keys: q quits; u m s l r e p c choose the order, the same key again turns it."
        " Without a terminal, one frame is printed.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--interval",
        metavar="SECS",
        type=positive,
        default=DEFAULT_INTERVAL,
        help=f"time between two looks (default: {DEFAULT_INTERVAL:g})",
    )
    parser.add_argument(
        "--once", action="store_true", help="print one frame, after two looks, and end"
    )
    parser.add_argument(
        "--sort", choices=SORTS, default="url", help="order of the workers (default: url)"
    )
    parser.add_argument(
        "--metrics-url",
        metavar="URL",
        help=f"the gateway's Prometheus port (default: port {METRICS_PORT} of its host)",
    )
    add_connection_options(parser)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from smg.console.screen import console_on, is_screen, show, show_json, speaks_unicode, width_of
    from smg.console.view import draw

    client = connect(arguments)
    source = Source(client, _metrics_client(client, arguments.metrics_url, arguments.timeout))
    console = console_on()
    frame = source.poll()
    if is_screen(console) and not (arguments.once or arguments.json):
        return _watch(source, frame, arguments)
    time.sleep(arguments.interval)
    frame = source.poll()
    if arguments.json:
        show_json(asdict(frame))
        return 0
    rows = ordered(frame.rows, arguments.sort)
    show(console, draw(frame, rows, width_of(console), unicode=speaks_unicode(console)))
    return 0


def _watch(source: Source, first: Frame, arguments: argparse.Namespace) -> int:
    from rich.console import RenderableType

    from smg.console.live import Poller, run_live
    from smg.console.screen import console_on, speaks_unicode
    from smg.console.view import draw

    console = console_on()
    order = Order(arguments.sort)

    def picture(frame: Frame, problem: str | None) -> RenderableType:
        return draw(
            frame,
            ordered(frame.rows, order.by, turned=order.turned),
            console.width,
            height=console.height,
            unicode=speaks_unicode(console),
            notice=problem,
            footer=f"sorted by {order.by}{', turned' if order.turned else ''}",
        )

    return run_live(Poller(source.poll, arguments.interval, first), picture, console, order.press)


class Order:
    """What the rows are sorted by, as the keys say."""

    def __init__(self, by: str) -> None:
        self.by = by
        self.turned = False

    def press(self, key: str) -> bool:
        """A key; whether it means anything."""
        by = SORT_KEYS.get(key.lower())
        if by is None:
            return False
        self.turned = by == self.by and not self.turned
        self.by = by
        return True


class Source:
    """Asks for everything that a frame shows, and keeps the scrapes that rates need."""

    def __init__(
        self,
        client: GatewayClient,
        metrics: GatewayClient,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._api = WorkersApi(client)
        self._metrics = metrics
        self._clock = clock
        self._wall_clock = wall_clock
        self._scrapes: list[Scrape] = []

    def poll(self) -> Frame:
        """A frame of now. Raises `Unreachable`, `Refused`; missing metrics are a problem that the
        frame tells, for their port is often closed to others.
        """
        workers = self._api.workers()
        readiness = self._client.call("GET", "/readiness").json()
        problems: list[str] = []
        scrapes: tuple[Scrape | None, Scrape | None] = (None, None)
        try:
            newest = self._scrape()
            scrapes = window(self._scrapes, WINDOW) or (None, newest)
        except (ConsoleError, ValueError) as error:
            problems.append(f"no metrics: {error}; see --metrics-url")
        now = self._wall_clock()
        return build(self._client.url, workers, readiness, scrapes, now, problems)

    def _scrape(self) -> Scrape:
        reply = self._metrics.call("GET", "")
        if reply.status != 200:
            raise ConsoleError(f"{self._metrics.url} answered {reply.status}")
        scrape = parse(reply.body.decode("utf-8", "replace"), self._clock())
        self._scrapes.append(scrape)
        while len(self._scrapes) > 2 and scrape.at - self._scrapes[1].at > WINDOW:
            self._scrapes.pop(0)
        return scrape


def _metrics_client(client: GatewayClient, url: str | None, timeout: float) -> GatewayClient:
    """The client for the metrics; it is never given the admin key, for that port takes none."""
    if url is None:
        host = f"[{client.host}]" if ":" in client.host else client.host
        url = f"http://{host}:{METRICS_PORT}"
    found = GatewayClient(url, timeout=timeout)
    return found if found.has_path else GatewayClient(f"{found.url}/metrics", timeout=timeout)
