"""The store (Redis or Valkey): live aggregates, record locations, stories, trends.

======== ============================================================================
layout   every key, what is counted by minutes, hours and days, the windows over them
batch    a segment of the log, added up before it is applied
client   ``Store``, all that is written and read
answers  what the store answers
snapshot what the trend detector reads
webhooks ``Webhooks``, which no rebuild touches
lua/     the scripts that write and read; ``common.lua`` is prepended to each of them
======== ============================================================================
"""

from services.store.answers import Completeness, Count, RecordLocation, Series, State, Top
from services.store.batch import Batch
from services.store.client import Gap, Store
from services.store.layout import DIMENSIONS, WINDOWS, Dimension, Span, Window
from services.store.snapshot import Counts, Observation, Snapshot

__all__ = [
    "DIMENSIONS",
    "WINDOWS",
    "Batch",
    "Completeness",
    "Count",
    "Counts",
    "Dimension",
    "Gap",
    "Observation",
    "RecordLocation",
    "Series",
    "Snapshot",
    "Span",
    "State",
    "Store",
    "Top",
    "Window",
]
