"""Every query of the dashboard and of the alerts finds something in a gateway that runs.

The stage is a handful of the catalogue's scenarios. The names, labels and types of the queries are
held against what they leave behind in `/metrics`.
"""

from __future__ import annotations

import asyncio
import json
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.doubles.gateway import Gateway
from tests.doubles.metric_scenarios import SCENARIOS, driven
from tests.doubles.metrics_text import Samples
from tests.doubles.promql import Query, parse
from tests.doubles.sim import SimWorker

pytestmark = pytest.mark.xdist_group("monitoring")  # one stage for all of them

FOLDER = pathlib.Path(__file__).parents[2] / "deploy" / "monitoring"
STAGE = (
    "a request",
    "a stream that tells its usage",
    "a stream that is cut",
    "a failure",
    "a breaker",
    "in flight",
    "a queue",
    "cache_aware",
    "health checks",
    "a reload",
)
#: labels that Prometheus itself adds
SCRAPED = {"job", "instance"}
#: names in Grafana's variables
_LABEL_VALUES = re.compile(r"label_values\((\w+)(?:\{(\w+)[^}]*\})?, (\w+)\)")
_LEGEND = re.compile(r"\{\{(\w+)\}\}")
_TEMPLATE = re.compile(r"\$labels\.(\w+)")


class Live:
    """What a run shows: label names and kind by sample name."""

    def __init__(self) -> None:
        self.labels: dict[str, set[str]] = {}
        self.kinds: dict[str, str] = {}

    def add(self, samples: Samples) -> None:
        for name, labels, _ in samples.rows:
            self.labels.setdefault(name, set()).update(labels)
        self.kinds.update(re.findall(r"^# TYPE (\S+) (\S+)$", samples.text, flags=re.MULTILINE))

    def counts(self, name: str) -> bool:
        """Whether the sample only grows."""
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        return self.kinds.get(name) == "counter" or self.kinds.get(family) == "histogram"

    def complaints(self, text: str) -> list[str]:
        """What is wrong with a query."""
        query = parse(text)
        wrong = []
        for name, labels in query.selected:
            if name not in self.labels:
                wrong.append(f"{name} is not there")
                continue
            for label in labels - self.labels[name] - SCRAPED:
                wrong.append(f"{name} has no label {label}")
            if (name in query.counters) != self.counts(name):
                wrong.append(f"{name} is a counter without a rate, or the other way round")
        known = self.known(query)
        wrong += [f"nothing has the label {label}" for label in query.grouped - known]
        if query.quantiles and "le" not in query.grouped:
            wrong.append("a quantile without le")
        return wrong

    def known(self, query: Query) -> set[str]:
        """Labels of the metrics of a query."""
        return SCRAPED.union(*(self.labels.get(name, set()) for name, _ in query.selected))

    def left(self, text: str) -> set[str]:
        """Labels that the result of a query may have."""
        query = parse(text)
        return self.known(query) & (query.grouped if query.grouped else self.known(query))


@pytest.fixture(scope="module")
def live() -> Live:
    """Scrapes of the whole stage; its gateways run one after the other."""
    from tests.doubles.loop import run_async

    found = Live()

    async def run() -> None:
        for name in STAGE:
            async with driven(SCENARIOS[name]) as (_, _, after):
                found.add(after)
        async with SimWorker() as worker:
            async with Gateway(
                worker_urls=[worker.url], engine_metrics=True, load_monitor_interval=1
            ) as gateway:
                while "smg_engine_running_requests" not in found.labels:
                    found.add(await gateway.metrics())
                    await asyncio.sleep(0.02)

    run_async(run())
    return found


def dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads((FOLDER / "grafana-dashboard.json").read_text())
    return board


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((FOLDER / "prometheus-rules.yaml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def plain(query: str) -> str:
    """Without Grafana's variables."""
    return query.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*")


def test_every_panel_finds_something(live: Live):
    wrong = {}
    for panel in panels():
        for target in panel["targets"]:
            complaints = live.complaints(plain(target["expr"]))
            shown = set(_LEGEND.findall(target["legendFormat"]))
            complaints += [
                f"the legend's {name} is lost" for name in shown - live.left(plain(target["expr"]))
            ]
            if complaints:
                wrong[panel["title"]] = complaints
    assert not wrong


def test_the_variables_find_something(live: Live):
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            match = _LABEL_VALUES.fullmatch(variable["query"]["query"])
            assert match, variable
            assert match[1] in live.labels
            assert {match[2] or "job", match[3]} <= SCRAPED


def test_every_alert_can_fire(live: Live):
    wrong = {}
    for rule in rules():
        complaints = live.complaints(rule["expr"])
        used = set(_TEMPLATE.findall(json.dumps(rule["annotations"])))
        complaints += [f"$labels.{name} is lost" for name in used - live.left(rule["expr"])]
        if complaints:
            wrong[rule["alert"]] = complaints
    assert not wrong


def test_runbooks_name_metrics_and_flags_that_exist(live: Live):
    flags = (FOLDER.parents[1] / "docs" / "reference" / "cli.md").read_text()
    for rule in rules():
        assert rule["annotations"]["summary"]
        runbook = rule["annotations"]["runbook"]
        for name in re.findall(r"\bsmg_\w+", runbook):
            known = {name, f"{name}_bucket"} & set(live.labels)
            assert known, f"{rule['alert']}: {name}"
        for flag in re.findall(r"--[a-z][a-z-]+", runbook):
            assert re.search(rf"`{flag}\b(?!-)", flags), f"{rule['alert']}: {flag}"


def test_alerts_are_complete():
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert re.fullmatch(r"\d+[sm]", rule["for"])


def test_the_dashboard_is_up_to_date_and_does_not_overlap():
    script = FOLDER / "dashboard.py"
    made = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=True,
        cwd=FOLDER.parents[1],
        env={"PYTHONPATH": str(FOLDER.parents[1])},
    )
    assert made.stdout == (FOLDER / "grafana-dashboard.json").read_text(), "run: make docs"
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_the_scrape_configuration_names_the_rules():
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert [(FOLDER / name).exists() for name in config["rule_files"]] == [True]


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("smg_nothing", "not there"),
        ('smg_worker_health{model="x"}', "no label model"),
        ("sum by (model) (smg_worker_health)", "label model"),
        ("smg_http_requests_total", "without a rate"),
        ("rate(smg_worker_health[5m])", "other way round"),
        ("histogram_quantile(0.5, sum(rate(smg_router_ttft_seconds_bucket[5m])))", "without le"),
        ("rate(smg_router_ttft_seconds[5m])", "not there"),
    ],
)
def test_the_checks_find_mistakes(live: Live, query: str, complaint: str):
    assert any(complaint in found for found in live.complaints(query))


@pytest.mark.parametrize("query", ["sum(a", "sum)a", "a{b}", "foo(a)", "a ! b", "sum by (a)"])
def test_what_is_no_query(query: str):
    with pytest.raises(ValueError, match=r".+"):
        parse(query)
