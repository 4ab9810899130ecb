"""Shortest paths in a road network whose speeds were measured: which way will be fastest in half an hour."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from numpy import ndarray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from combdiff.solvers import Sense, ShortestPath, Solver
from experiments.decisions.examples import Decisions, Source
from experiments.decisions.real_data import data_file, read_table
from experiments.harness.arrays import expect_shape
from experiments.harness.errors import InputError
from experiments.harness.run import PRESETS
from experiments.harness.task import DataSet

STEP = 5  # minutes between two speeds
DAY = 24 * 60 // STEP  # steps of a day
LONGEST = 12 * 60  # minutes ahead
DAYS = 7
LAGS = 0, 1, 3, 6  # steps back that the network sees
EARTH = 6371.0088  # km, mean radius
KILOMETRES = 1.609344  # in a mile
SETTINGS: dict[str, Any] = {
    "epochs": 6,
    "batch": 32,
    "learning_rate": 5e-3,
    "weight_decay": 0.0,
    "schedule": "constant",
    "perturbed.sigma": 0.1,
    "perturbed.samples": 3,
    "perturbed-layer.sigma": 0.1,
    "perturbed-layer.samples": 3,
}


class Traffic(Source):
    """A week of Los Angeles (METR-LA): costs are the minutes of each edge, in units of their mean over training days.

    An edge takes its great-circle length over the speed, of which each end's holds for one half. Split 0 has the last
    day for the test, the one before for validation, and five for training; split k those that are k days earlier, with
    the week as a ring: seven splits are a cross-validation by days. It draws times, sources and targets, too.
    """

    takes_path: ClassVar[bool | None] = None
    sense: ClassVar[Sense] = Sense.MIN
    scores_are_costs: ClassVar[bool] = True
    references: ClassVar[tuple[str, ...]] = ("last value", "time-of-day mean")
    methods: ClassVar[tuple[str, ...]] = (
        *("two-stage", "spo-plus", "perturbation-gradient", "perturbed", "perturbed-layer", "interpolation"),
        "structured-hinge",
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = dict.fromkeys(PRESETS, SETTINGS)

    def __init__(self, options: Any, path: str) -> None:
        super().__init__(options, path)
        if options.horizon % STEP or options.horizon > LONGEST:
            raise InputError(f"horizon={options.horizon} must be a multiple of {STEP} minutes, at most {LONGEST}")

    def describe(self) -> str:
        return f"Roads of Los Angeles, {self.options.horizon} minutes ahead: test paths"

    def load(self, split: int) -> DataSet[Decisions]:
        about = self.options
        ahead = about.horizon // STEP
        self.edges, kilometres, slowness = self._tables
        week = slowness.reshape(DAYS, DAY, -1)
        *training, before, last = ((np.arange(DAYS) - split) % DAYS).tolist()
        self.lengths = kilometres
        self.lengths = kilometres / self.minutes(week[training].reshape(len(training) * DAY, -1)).mean()
        rng = np.random.RandomState(split)

        def draw(days: list[int], count: int, known: list[int]) -> Decisions:
            """Examples of some days; the profile of each is the mean of the days that are known without it."""
            when = rng.randint(max(LAGS), DAY - ahead, count)
            day = rng.choice(days, count)
            profiles = {one: week[[other for other in known if other != one]].mean(0) for one in days}
            seen = np.stack([self._inputs(week[d], profiles[d], t, ahead) for d, t in zip(day, when, strict=True)])
            costs = self.minutes(week[day, when + ahead])
            profile = np.stack([profiles[d][t + ahead] for d, t in zip(day, when, strict=True)])
            references = np.stack([self.minutes(week[day, when]), self.minutes(profile)], 1)
            source = rng.randint(0, week.shape[2], count)
            target = (source + rng.randint(1, week.shape[2], count)) % week.shape[2]
            ends = torch.from_numpy(np.stack([source, target], 1))
            inputs, true, ready = (torch.from_numpy(one).float() for one in (seen, costs, references))
            found = Decisions(inputs, true, torch.zeros_like(true), references=ready, ends=ends)
            best = torch.from_numpy(self.solver().solve(costs, found.instances()).y).float()
            return replace(found, solutions=best)

        train = draw(training, about.examples, training)
        validation = draw([before], about.validation_examples, training)
        test = draw([last], about.test_examples, [*training, before])
        return DataSet(train, validation, test)

    def minutes(self, slowness: Float64[ndarray, "rows sensors"]) -> Float64[ndarray, "rows edges"]:
        """What every edge takes, from the minutes a kilometre at its ends."""
        tail, head = self.edges.T
        return (slowness[:, tail] + slowness[:, head]) * (self.lengths / 2)

    def _inputs(
        self, day: Float64[ndarray, "steps n"], profile: Float64[ndarray, "steps n"], now: int, ahead: int
    ) -> Float64[ndarray, "n features"]:
        """For each sensor: the profile then, how far the last speeds are from it, here and around, and the profile now.

        Nothing after `now` is read of the day itself.
        """
        off = (day - profile)[[now - lag for lag in LAGS]]
        around = [off[::2] @ side for side in self._around]
        later = profile[[now + ahead, min(now + ahead + 3, DAY - 1), now + ahead - 3, now]]
        return np.concatenate([later, off, *around]).T

    def solver(self, examples: Decisions | None = None) -> Solver:
        return ShortestPath.graph(self.edges, negative="clamp", threads=1)

    def network(self, examples: Decisions) -> nn.Module:
        return TravelTimes(self.edges, self.lengths, *examples.inputs.shape[1:])

    @cached_property
    def _tables(self) -> tuple[Int64[ndarray, "edges 2"], Float64[ndarray, " edges"], Float64[ndarray, "steps n"]]:
        """Edges, their kilometres, and minutes a kilometre, of the largest strongly connected part of the sensors."""

        def read(name: str, columns: int | None = None) -> Float64[ndarray, "rows columns"]:
            return read_table(data_file(self.path, "traffic", "traffic_la", name), columns)

        speeds = read("los_speed.csv")
        expect_shape("los_speed.csv", speeds, (DAY * DAYS, None))
        places = read("graph_sensor_locations.csv", 4)
        expect_shape("graph_sensor_locations.csv", places, (speeds.shape[1], 4))
        if not (speeds > 0).all():
            raise InputError("los_speed.csv must hold positive speeds: a road without one takes forever")
        edges = read("edges.csv", 3)[:, :2].astype(np.int64)
        used, edges = strong_part(edges[edges[:, 0] != edges[:, 1]], len(places))
        latitude, longitude = np.radians(places[used, 2:].T)
        lengths = haversine(
            latitude[edges[:, 0]], longitude[edges[:, 0]], latitude[edges[:, 1]], longitude[edges[:, 1]]
        )
        joined = np.zeros((len(used), len(used)))
        joined[edges[:, 0], edges[:, 1]] = 1.0
        self._around = [side / np.maximum(side.sum(0), 1.0) for side in (joined, joined.T)]  # means before and behind
        return edges, lengths, 60.0 / (speeds[:, used] * KILOMETRES)


class TravelTimes(nn.Module):
    """A linear model of each sensor's minutes a kilometre, and the edges between them; it begins as the profile.

    Args:
        edges: (edges, 2) sensors.
        lengths: (edges,).
        sensors: how many.
        features: of each; the first is the profile at the time that is asked for.
    """

    def __init__(
        self, edges: Int64[ndarray, "edges 2"], lengths: Float64[ndarray, " edges"], sensors: int, features: int
    ) -> None:
        super().__init__()
        self.edges = nn.Buffer(torch.from_numpy(edges))
        self.halves = nn.Buffer(torch.from_numpy(lengths).float() / 2)
        self.shared, self.bias = nn.Parameter(torch.zeros(features)), nn.Parameter(torch.zeros(sensors))
        self.own = nn.Parameter(torch.zeros(sensors, features))
        with torch.no_grad():
            self.shared[0] = 1.0

    def forward(self, inputs: Float[Tensor, "paths sensors features"]) -> Float[Tensor, "paths edges"]:
        slowness = (inputs * (self.shared + self.own)).sum(-1) + self.bias
        ends = slowness[:, self.edges]
        return ends.sum(-1) * self.halves


def strong_part(edges: Int64[ndarray, "edges 2"], count: int) -> tuple[Int64[ndarray, " kept"], Int64[ndarray, "m 2"]]:
    """The vertices of the largest strongly connected part, and the edges among them by their places there.

    >>> strong_part(np.array([[0, 2], [2, 0], [0, 1]]), 3)
    (array([0, 2]), array([[0, 1],
           [1, 0]]))
    """
    graph = csr_array((np.ones(len(edges)), edges.T), shape=(count, count))
    _, label = connected_components(graph, connection="strong")
    kept = np.flatnonzero(label == np.bincount(label).argmax())
    place = np.full(count, -1)
    place[kept] = np.arange(len(kept))
    inside = place[edges]
    return kept, inside[(inside >= 0).all(1)]


def haversine(
    a: Float64[ndarray, " n"], b: Float64[ndarray, " n"], c: Float64[ndarray, " n"], d: Float64[ndarray, " n"]
) -> Float64[ndarray, " n"]:
    """Kilometres between points (latitude a, longitude b) and (c, d), in radians.

    >>> haversine(*np.radians([[0.0], [0.0], [0.0], [1.0]])).round(3)
    array([111.195])
    """
    square = np.sin((a - c) / 2) ** 2 + np.cos(a) * np.cos(c) * np.sin((b - d) / 2) ** 2
    return 2 * EARTH * np.arcsin(np.sqrt(square))
