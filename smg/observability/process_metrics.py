"""The standard `process_*` and `python_*` families, taken from prometheus_client.

Kept apart from our writer: importing the library costs more than all of our own metrics, and only
the process that answers scrapes needs it.
"""

from __future__ import annotations

from smg.observability.metrics import Registry


def install(registry: Registry) -> None:
    """Append process, garbage collector and platform metrics to every scrape of `registry`."""
    import prometheus_client
    from prometheus_client import gc_collector, platform_collector, process_collector

    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    library = prometheus_client.CollectorRegistry()
    process_collector.ProcessCollector(registry=library)
    gc_collector.GCCollector(registry=library)
    platform_collector.PlatformCollector(registry=library)
    registry.add_text(lambda: prometheus_client.generate_latest(library))
