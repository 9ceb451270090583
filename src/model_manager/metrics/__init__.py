"""Counts of what happened, for Prometheus and for the last hours' history. No I/O, and nothing of the house is asked
here: what is read at the moment of a scrape (disk, slots, catalog) is handed in as gauges."""

from model_manager.metrics.counting import Metrics
from model_manager.metrics.exposition import Exposition, expose
from model_manager.metrics.families import BUCKETS, UNMATCHED, Gauge
from model_manager.metrics.history import KEEP_SECONDS, SAMPLE_SECONDS, History, Levels, Sample

__all__ = [
    "BUCKETS", "KEEP_SECONDS", "SAMPLE_SECONDS", "UNMATCHED", "Exposition", "Gauge", "History", "Levels", "Metrics",
    "Sample", "expose",
]  # fmt: skip
