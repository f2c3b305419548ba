"""The store's counts, modelled in memory: all snapshots of a day for the trend detector within seconds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from enrich.trends.detector import TrendKey
from services.events import TrendKind, TrendWindow
from services.store.snapshot import RECENT, SEASONS, Counts, Observation, Snapshot

Ints = npt.NDArray[np.int64]
_MINUTES: Mapping[TrendWindow, int] = {"15m": 15, "1h": 60, "24h": 1440}
# Trend candidates: at least _RATIO times their usual share in a window, or twice that and at least _MIN_RECENT times in
# the last two minutes. The same values as in services/store.
_RATIO = 1.5
_MIN_RECENT = 3
# The hours that a snapshot has of earlier days: this hour and the one before.
_HOURS = (0, 1)


@dataclass(frozen=True)
class Mentions:
    """Articles and their mentions, by time.

    ``articles``: time of each article in seconds since 1970. ``times`` and ``subjects``: time and subject of each
    mention; a subject is an index into ``names``.
    """

    articles: Ints
    times: Ints
    subjects: Ints
    names: Sequence[tuple[TrendKind, str]]


class StoreModel:
    """Counts per minute in the windows of the store, advanced from snapshot to snapshot."""

    def __init__(self, mentions: Mentions, floors: Mapping[TrendWindow, int]) -> None:
        self._floors = floors
        self._names = mentions.names
        # The number of articles is counted like a subject, at index 0.
        times = np.concatenate([mentions.articles, mentions.times])
        subjects = np.concatenate([np.zeros(len(mentions.articles), np.int64), mentions.subjects + 1])
        order = np.argsort(times, kind="stable")
        self._times, self._subjects = times[order], subjects[order]
        self._size = len(mentions.names) + 1
        self._stories = np.array([False, *(kind == "story" for kind, _ in mentions.names)])
        self._rows = {name: row for row, name in enumerate(mentions.names, 1)}
        self._all = np.zeros(self._size, np.int64)
        self._windows = {window: np.zeros(self._size, np.int64) for window in _MINUTES}
        self._recent = np.zeros((RECENT, self._size), np.int64)
        self._hours: dict[int, Ints] = {}
        self._read = 0
        self._minute = int(self._times[0]) // 60

    def snapshot(self, now: int, active: Iterable[TrendKey]) -> Snapshot:
        """The snapshot at ``now`` (seconds since 1970), which must not decrease between calls; names are the ids."""
        self._add(now)
        self._roll(now // 60)
        asked = {self._rows[kind, name] for kind, name, _ in active}
        rows = sorted(asked.union(self._candidates()))
        volume, *counts = self._counts(np.array([0, *rows]))
        named = [self._names[row - 1] for row in rows]
        return Snapshot(volume, [Observation(*name, own) for name, own in zip(named, counts, strict=True)])

    def _add(self, now: int) -> None:
        upto = int(np.searchsorted(self._times, now))
        while self._read < upto:
            minute = int(self._times[self._read]) // 60
            self._roll(minute)
            end = min(upto, int(np.searchsorted(self._times, (minute + 1) * 60)))
            named = np.bincount(self._subjects[self._read : end], minlength=self._size)
            for counts in (self._all, *self._windows.values(), self._recent[0]):
                np.add(counts, named, out=counts)
            hour = minute // 60
            if hour not in self._hours:
                self._hours[hour] = np.zeros(self._size, np.int64)
            self._hours[hour] += named
            self._read = end

    def _roll(self, minute: int) -> None:
        while self._minute < minute:
            self._minute += 1
            self._recent = np.roll(self._recent, 1, axis=0)
            self._recent[0] = 0
            for window, length in _MINUTES.items():
                left = (self._minute - length) * 60
                first, last = np.searchsorted(self._times, [left, left + 60])
                np.subtract.at(self._windows[window], self._subjects[first:last], 1)

    def _candidates(self) -> list[int]:
        """Rows that pass the store's prefilter: above their usual share in a window or in the last two minutes."""
        found: set[int] = set()
        for window, floor in self._floors.items():
            counts = self._windows[window]
            rows = np.flatnonzero(counts >= floor)
            past, before = self._past(window, rows)
            if before > 0 and before >= counts[0]:
                over = _over(counts[rows], _RATIO, past / before * counts[0])
                found.update(rows[over & ~(self._stories[rows] & (window == "24h"))].tolist())
        rows = np.flatnonzero(self._recent[:2].sum(axis=0) >= _MIN_RECENT)
        past, before = self._past("15m", rows)
        latest = self._recent[:2, rows].sum(axis=0)
        if before > 0:
            usual = past / before * self._recent[:2, 0].sum()
            found.update(rows[_over(latest, 2 * _RATIO, usual)].tolist())
        return sorted(found - {0})

    def _past(self, window: TrendWindow, rows: Ints) -> tuple[Ints, int]:
        """Counts of subjects, and of articles, before a window."""
        whole = np.where(self._stories[rows], self._windows["24h"][rows], self._all[rows])
        return whole - self._windows[window][rows], int(self._all[0] - self._windows[window][0])

    def _counts(self, rows: Ints) -> list[Counts]:
        stories = self._stories[rows]
        day = self._windows["24h"][rows]
        hour = self._minute // 60
        earlier = [hour - ago - 24 * back for ago in _HOURS for back in range(1, SEASONS + 1)]
        seasonal = np.zeros((len(earlier), len(rows)), np.int64)
        for column, then in enumerate(earlier):
            if (before := self._hours.get(then)) is not None:
                seasonal[column] = np.where(stories, 0, before[rows])
        columns = (
            self._windows["15m"][rows].tolist(),
            self._windows["1h"][rows].tolist(),
            day.tolist(),
            np.where(stories, day, self._all[rows]).tolist(),
        )
        return [
            Counts(tuple(latest), *windows, tuple(seasons))
            for latest, windows, seasons in zip(
                self._recent[:, rows].T.tolist(), zip(*columns, strict=True), seasonal.T.tolist(), strict=True
            )
        ]


def _over(counts: Ints, ratio: float, usual: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (counts >= ratio * usual) & ((counts - usual) ** 2 >= 16 * (usual + 1))
    return found
