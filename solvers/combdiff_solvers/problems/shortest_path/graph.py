"""Directed graphs for `ShortestPath`: adjacency, cycles, and the ends of each row's path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped
from numpy import ndarray

from combdiff_solvers.compute.threads import for_rows
from combdiff_solvers.instances import ColumnInstances
from combdiff_solvers.problems.edges import as_edges
from combdiff_solvers.problems.shortest_path.found import Found
from combdiff_solvers.problems.shortest_path.graph_kernels import acyclic_paths, graph_paths
from combdiff_solvers.protocol import Rows, Status, as_whole


@dataclass(frozen=True, eq=False)
class GraphInstances(ColumnInstances):
    """The source and target of each row of a batch, as arrays.

    What is None is as the solver was told. It is a sequence with one item, a mapping, for each row.

    Args:
        source: (b,) vertices.
        target: (b,) vertices.

    Raises:
        ValueError: when both are None, or the numbers of rows differ.

    >>> GraphInstances(source=np.array([0, 2]))[1]
    {'source': np.int64(2)}
    """

    source: Shaped[ndarray, " b"] | None = None
    target: Shaped[ndarray, " b"] | None = None


class GraphPaths:
    """Paths along the edges of a directed graph with edge costs."""

    def __init__(
        self, edges: ndarray | Sequence[tuple[int, int]], source: int | None, target: int | None, vertices: int | None
    ) -> None:
        pairs, count = as_edges(edges, vertices, "the tail and the head")
        self.vertices = count
        self.shape: tuple[int, ...] = (len(pairs),)
        self._tail, self._head = np.ascontiguousarray(pairs.T)
        self._out = np.argsort(self._tail, kind="stable")
        self._first_out = np.searchsorted(self._tail[self._out], np.arange(count + 1))
        self._order = self._topological_order()
        if self._order is not None:
            rank = np.argsort(self._order)
            self._into = np.lexsort((rank[self._tail], rank[self._head]))
            self._first_in = np.searchsorted(rank[self._head[self._into]], np.arange(count + 1))
        self._source = self._check("source", source)
        self._target = self._check("target", target)

    @property
    def acyclic(self) -> bool:
        """Whether the graph has no directed cycle."""
        return self._order is not None

    def _topological_order(self) -> Int[ndarray, " vertices"] | None:
        """Every vertex after those that lead to it (Kahn 1962); None if there is a cycle."""
        waits_for = np.bincount(self._head, minlength=self.vertices)
        ready = list(np.flatnonzero(waits_for == 0))
        for vertex in ready:  # grows while it is walked over
            for edge in self._out[self._first_out[vertex] : self._first_out[vertex + 1]]:
                waits_for[self._head[edge]] -= 1
                if not waits_for[self._head[edge]]:
                    ready.append(self._head[edge])
        return np.array(ready, dtype=np.int64) if len(ready) == self.vertices else None

    def _check(self, name: str, vertex: int | None) -> Int[ndarray, " 1"] | None:
        if vertex is not None and not 0 <= as_whole(name, vertex) < self.vertices:
            raise ValueError(f"{name}={vertex} is not a vertex: they are 0..{self.vertices - 1}")
        return None if vertex is None else np.array([vertex], dtype=np.int64)

    def search(self, cost: Rows, negative: int, instances: Any, threads: int | None, found: Found) -> dict[int, str]:
        """Write the paths into `found`; the messages on rows whose instance is an ERROR."""
        batch = len(cost)
        messages: dict[int, str] = {}
        given: GraphInstances | None = None
        if instances is not None and batch:
            given = GraphInstances.of(instances)
        source = self._ends("source", self._source, given, messages)
        target = self._ends("target", self._target, given, messages)
        if messages:
            found.status[list(messages)] = Status.ERROR
        if self._order is not None:
            search, graph = acyclic_paths, (self._order, self._first_in, self._into, self._tail)
        else:
            search, graph = graph_paths, (self._first_out, self._out, self._tail, self._head)
        grain = 1 + 4096 // cost.shape[1]
        for_rows(search, batch, cost, negative, source, target, *graph, *found, threads=threads, grain=grain)
        return messages

    def _ends(
        self, name: str, common: Int[ndarray, " 1"] | None, given: GraphInstances | None, messages: dict[int, str]
    ) -> Int[ndarray, " b"]:
        """The end of each row, or one for all of them."""
        ends = None if given is None else given.whole(name, (), messages)
        if ends is None:
            if common is None:
                raise ValueError(
                    f"no {name} was given: name it in ShortestPath.graph(..., {name}=...) or in "
                    f"GraphInstances({name}=...)"
                )
            return common
        for row in np.flatnonzero((ends < 0) | (ends >= self.vertices)).tolist():
            messages.setdefault(row, f"{name}={ends[row]} is not a vertex: they are 0..{self.vertices - 1}")
        return ends
