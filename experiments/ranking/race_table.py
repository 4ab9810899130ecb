"""Formula 1 races from a file: who started, and what was known before the start.

The file has a line for each driver and race, with the columns `COLUMNS`. Grid is a number, PL (pit lane) or empty;
finish is a number or one of `UNPLACED`.
"""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from experiments.harness.errors import InputError

COLUMNS = (
    "season",
    "round",
    "date",
    "circuit",
    "driver",
    "constructor",
    "grid",
    "qualifying_s",
    "practice_s",
    "finish",
)
RETIRED = ("DNF", "NC")  # started, but not classified
STARTED = (*RETIRED, "DSQ")
UNPLACED = (*STARTED, "DNS", "DNQ", "DNPQ", "DNP", "EX")
FEATURES = (
    "grid",
    "log grid",
    "pit lane",
    "qualifying gap",
    "no qualifying time",
    "practice gap",
    "no practice time",
    "grid minus qualifying",
    "driver's results",
    "driver's latest results",
    "driver's grids",
    "driver's gains",
    "driver's retirements",
    "driver's experience",
    "constructor's results",
    "constructor's latest results",
    "constructor's retirements",
)
SLOW, FAST = 20, 4  # half-lives of the means over past starts
PRIOR = 2.0  # starts that the value of a newcomer counts for
NEWCOMER = 0.7  # share of the field that finishes before one
LARGEST_GAP = 0.1  # relative to the best time; wet sessions have larger ones


@dataclass(frozen=True)
class Start:
    """A driver on the grid (None: pit lane, or unknown), and the result: a place, or a word of `STARTED`."""

    driver: str
    constructor: str
    grid: int | None
    qualifying: float | None
    practice: float | None
    finish: int | str


@dataclass(frozen=True)
class Race:
    """Who started, in the order of the grid (then of qualifying), which says nothing of the results."""

    season: int
    round: int
    circuit: str
    starts: list[Start]


def read_races(path: Path) -> list[Race]:
    """The races of a file (CSV, or gzip of it) in the order of time, without those in which fewer than two started.

    Raises:
        InputError: for a file that is missing or damaged, or a line of it that makes no sense, with its number.
    """
    if not path.is_file():
        raise InputError(f"{path} is no file: give the table of races, races.csv.gz")
    races: dict[tuple[int, int], tuple[str, list[Start]]] = {}
    opened: Callable[..., object] = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8", newline="") as stream:  # type: ignore[attr-defined]
            reader = csv.DictReader(stream)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path}, line 1: no column {missing[0]!r}; {', '.join(COLUMNS)} are expected")
            for row in reader:
                try:
                    if None in row or None in row.values():
                        raise ValueError("not as many fields as columns")
                    key = int(_positive("season", row["season"])), int(_positive("round", row["round"]))
                    start = _read_start(row)
                except ValueError as error:
                    raise InputError(f"{path}, line {reader.line_num}: {error}") from error
                starts = races.setdefault(key, (row["circuit"], []))[1]
                if start is not None:
                    starts.append(start)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}): is the copy complete?") from error
    ordered = [
        Race(season, number, circuit, sorted(starts, key=_before_start))
        for (season, number), (circuit, starts) in sorted(races.items())
    ]
    return [race for race in ordered if len(race.starts) > 1]


def _read_start(row: dict[str, str]) -> Start | None:
    """The start of one line; None of a driver who did not start."""
    text = row["finish"]
    finish = text if text in UNPLACED else int(_positive("finish", text))
    if text in UNPLACED and text not in STARTED:
        return None
    grid = None if row["grid"] in ("", "PL") else int(_positive("grid", row["grid"]))
    qualifying, practice = (
        _positive(name, row[name], whole=False) if row[name] else None for name in ("qualifying_s", "practice_s")
    )
    return Start(row["driver"], row["constructor"], grid, qualifying, practice, finish)


def _positive(name: str, text: str, whole: bool = True) -> float:
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {text!r}, but must be a positive {'whole ' if whole else ''}number")
    return value


def _before_start(start: Start) -> tuple[float, float, str]:
    return start.grid or math.inf, start.qualifying or math.inf, start.driver


class Mean:
    """A mean over the past in which each start counts half of that `half_life` starts later, with a prior."""

    def __init__(self, half_life: float, prior: float) -> None:
        self.decay, self.weight, self.total = 0.5 ** (1 / half_life), PRIOR, PRIOR * prior

    def add(self, value: float) -> None:
        """Take note of one more start."""
        self.weight, self.total = self.weight * self.decay + 1.0, self.total * self.decay + value

    @property
    def value(self) -> float:
        """The mean so far."""
        return self.total / self.weight


class Past:
    """What is known of a driver or a constructor from the races before."""

    def __init__(self) -> None:
        self.results, self.latest = Mean(SLOW, NEWCOMER), Mean(FAST, NEWCOMER)
        self.grids, self.gains, self.retirements = Mean(SLOW, NEWCOMER), Mean(SLOW, 0.0), Mean(SLOW, 0.2)
        self.starts = 0

    def add(self, grid: float, place: float | None, retired: bool) -> None:
        """Take note of a race: shares of the field before it on the grid and in the result, if there is one."""
        self.starts += 1
        self.grids.add(grid)
        self.retirements.add(float(retired))
        if place is not None:
            self.results.add(place)
            self.latest.add(place)
            self.gains.add(grid - place)


def features(races: Sequence[Race]) -> list[Float64[ndarray, "starts features"]]:
    """The `FEATURES` of every start of each race, from what was known before it.

    Of the race itself: the place on the grid (a share of the field; those from the pit lane stand behind it), the best
    laps in qualifying and practice as fractions over the best of the race. Of the past: means of the places of driver
    and constructor, as shares of the field. A retirement (`RETIRED`) leaves the means of places as they were, and
    counts in that of retirements; a disqualification in neither. Nothing of the circuit.
    """
    drivers: dict[str, Past] = {}
    constructors: dict[str, Past] = {}
    found = []
    for race in races:
        grid = grid_places(race) / len(race.starts)
        qualifying, no_qualifying = _gaps([start.qualifying for start in race.starts])
        practice, no_practice = _gaps([start.practice for start in race.starts])
        past = [
            (drivers.setdefault(start.driver, Past()), constructors.setdefault(start.constructor, Past()))
            for start in race.starts
        ]
        columns = [
            grid,
            np.log(grid_places(race)),
            [float(start.grid is None) for start in race.starts],
            qualifying,
            no_qualifying,
            practice,
            no_practice,
            grid - (qualifying.argsort(kind="stable").argsort() + 1) / len(race.starts),
            [driver.results.value for driver, _ in past],
            [driver.latest.value for driver, _ in past],
            [driver.grids.value for driver, _ in past],
            [driver.gains.value for driver, _ in past],
            [driver.retirements.value for driver, _ in past],
            [math.log1p(driver.starts) for driver, _ in past],
            [constructor.results.value for _, constructor in past],
            [constructor.latest.value for _, constructor in past],
            [constructor.retirements.value for _, constructor in past],
        ]
        found.append(np.stack([np.asarray(column, dtype=float) for column in columns], axis=1))
        for start, before, both in zip(race.starts, grid, past, strict=True):
            place = (start.finish - 0.5) / len(race.starts) if isinstance(start.finish, int) else None
            for one in both:
                one.add(before, place, start.finish in RETIRED)
    return found


def grid_places(race: Race) -> Float64[ndarray, " starts"]:
    """The place of each start on the grid, 1 for pole; those from the pit lane share the mean of the last places."""
    known = [start.grid for start in race.starts if start.grid is not None]
    last = (len(known) + 1 + len(race.starts)) / 2
    order = {grid: place for place, grid in enumerate(sorted(known), 1)}
    return np.array([last if start.grid is None else order[start.grid] for start in race.starts], dtype=float)


def _gaps(times: Sequence[float | None]) -> tuple[Float64[ndarray, " starts"], Float64[ndarray, " starts"]]:
    """Times as fractions over the best, at most `LARGEST_GAP`, that of those without a time; and who has none."""
    best = min((time for time in times if time is not None), default=1.0)
    gaps = [LARGEST_GAP if time is None else min(time / best - 1, LARGEST_GAP) for time in times]
    return np.array(gaps), np.array([float(time is None) for time in times])
