"""Features, costs or solutions of one's own, from an npz file, for a model of one's own."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray
from torch import nn

import combdiff
from combdiff.solvers import Sense, Solver, Status
from combdiff_solvers.protocol import value
from experiments.decisions.examples import Decisions, Source
from experiments.harness.arrays import Array, expect_shape, read_arrays
from experiments.harness.errors import InputError
from experiments.harness.run import PRESETS
from experiments.harness.task import DataSet

PARTS = ("train", "val", "test")
ARRAYS = ("features", "costs", "solutions")
ROUNDING = 0.01
"""by what share of the optimum a solution may be worse: published costs are rounded"""
SETTINGS: dict[str, Any] = {
    "epochs": 20,
    "batch": 32,
    "learning_rate": 1e-2,
    "weight_decay": 0.0,
    "schedule": "constant",
}


@dataclass(frozen=True)
class Labelled(Decisions):
    """Decisions whose costs nobody knows."""

    true_costs: Any = field(default=None, kw_only=True)
    objectives: ClassVar[None] = None  # type: ignore[assignment]


class OwnData(Source):
    """An npz file with `train_features` (n, p), `train_costs` or `train_solutions` (n, *shape) or both, `val_...`, ...

    The solver is made of `--model`: a file that `combdiff.wrap` takes, or `package.module:function`, a function without
    arguments that returns a solver or what `combdiff.wrap` takes. Features are standardised by the training examples.
    Costs are in units of their mean size over these, unless the model has a term h(y) of its own, in units of its own.
    """

    takes_path: ClassVar[bool | None] = True
    methods: ClassVar[tuple[str, ...]] = (
        *("two-stage", "spo-plus", "perturbed", "interpolation", "structured-hinge", "contrastive-map"),
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = dict.fromkeys(PRESETS, SETTINGS)

    def __init__(self, options: Any, path: str) -> None:
        super().__init__(options, path)
        if options.model is None:
            raise InputError(f"data={options.data!r} needs a model: --model FILE or --model package.module:function")

    @property
    def sense(self) -> Sense:  # type: ignore[override]
        return self._solver.sense

    def describe(self) -> str:
        return f"{self.path.stem}, {self.options.model}: test examples"

    def solver(self, examples: Decisions | None = None) -> Solver:
        return self._solver

    def network(self, examples: Decisions) -> nn.Module:
        shape = self._solver.shape
        return nn.Sequential(nn.Linear(examples.inputs.shape[1], int(np.prod(shape))), nn.Unflatten(1, shape))

    @cached_property
    def _solver(self) -> Solver:
        name = self.options.model
        module, colon, function = name.partition(":")
        try:
            if not colon or module.endswith((".mps", ".lp", ".gz")):
                return combdiff.wrap(name)
            made: Any = getattr(importlib.import_module(module), function)()
            return made if isinstance(made, Solver) else combdiff.wrap(made)
        except (ImportError, AttributeError, OSError, ValueError, TypeError) as error:
            raise InputError(f"model={name!r} makes no solver: {error}") from error

    def load(self, split: int) -> DataSet[Decisions]:
        arrays = read_arrays(self.path)
        known = [f"{part}_{name}" for part in PARTS for name in ARRAYS]
        if unknown := sorted(arrays.keys() - set(known)):
            raise InputError(f"{self.path} has an array {unknown[0]!r}: expected are {', '.join(known)}")
        parts = [self._part(name, arrays) for name in PARTS]
        train = parts[0]
        mean, scale = train["features"].mean(0), train["features"].std(0)
        scale[scale == 0.0] = 1.0
        unit = 1.0
        if "costs" in train and not value(self._solver, train["solutions"], np.zeros_like(train["costs"])).any():
            unit = float(np.abs(train["costs"]).mean()) or 1.0
        found: list[Decisions] = []
        for name, part in zip(PARTS, parts, strict=True):
            expect_shape(f"{name}_features of {self.path}", part["features"], (None, len(mean)))
            inputs = torch.from_numpy((part["features"] - mean) / scale).float()
            best = self._tensor(part["solutions"])
            costs = self._tensor(part["costs"] / unit) if "costs" in part else None
            found.append(Labelled(inputs, best) if costs is None else Decisions(inputs, costs, best))
        return DataSet(*found)

    def _tensor(self, rows: Float64[ndarray, "rows n"]) -> torch.Tensor:
        return torch.from_numpy(rows).float().reshape(len(rows), *self._solver.shape)

    def _part(self, part: str, arrays: dict[str, Array]) -> dict[str, Float64[ndarray, "rows n"]]:
        """The arrays of one part, checked, as rows of float64; solutions are found where only costs are given."""
        named = {name: f"{part}_{name} of {self.path}" for name in ARRAYS}
        given = {name: arrays[f"{part}_{name}"] for name in ARRAYS if f"{part}_{name}" in arrays}
        if "features" not in given or not given.keys() & {"costs", "solutions"}:
            raise InputError(
                f"{named['features']}, and {part}_costs or {part}_solutions, are needed: they do not exist"
            )
        expect_shape(named["features"], given["features"], (None, None))
        count, n = len(given["features"]), int(np.prod(self._solver.shape))
        for name, array in given.items():
            if array.dtype.kind not in "fuib" or not np.isfinite(array).all():
                raise InputError(f"{named[name]} must hold finite numbers")
            if name != "features" and array.shape not in ((count, *self._solver.shape), (count, n)):
                raise InputError(
                    f"{named[name]} has shape {array.shape}, but {(count, *self._solver.shape)} is expected: a row for "
                    f"each of the features, an entry for each variable of {self.options.model}"
                )
        if not count:
            raise InputError(f"{named['features']} has no row")
        rows = {name: array.astype(np.float64).reshape(count, -1) for name, array in given.items()}
        if "costs" in rows:
            self._complete(rows, named)
        else:
            self._check_feasible(rows["solutions"], named["solutions"])
        return rows

    def _complete(self, rows: dict[str, Float64[ndarray, "rows n"]], named: dict[str, str]) -> None:
        """Find the solutions for the costs, or see that those given are optimal."""
        best = self._solver.solve(rows["costs"])
        if not best.solved.all():
            row = int(np.argmin(best.solved))
            why = best.messages.get(row, Status(best.status[row]).name)
            raise InputError(f"{named['costs']}[{row}] has no solution: {why}")
        labels = rows.setdefault("solutions", best.y)
        loss = self._solver.sense.sign * (value(self._solver, labels, rows["costs"]) - best.objective)
        wrong = np.abs(loss) > ROUNDING * np.abs(best.objective) + 1e-9
        if wrong.any():
            row = int(wrong.argmax())
            how = "worse" if loss[row] > 0 else "better"
            raise InputError(
                f"{named['solutions']}[{row}] is {abs(loss[row]):.3g} {how} than the "
                f"optimum {best.objective[row]:.6g} of {named['costs']}: do the files and the model belong together?"
            )

    def _check_feasible(self, labels: Float64[ndarray, "rows n"], name: str) -> None:
        """A 0/1 vector is feasible if nothing is nearer to it than itself; other labels, and solvers that refuse
        negative costs, are taken at their word."""
        if not np.isin(labels, (0.0, 1.0)).all():
            return
        found = self._solver.solve(self._solver.sense.sign * (1.0 - 2.0 * labels))
        wrong = (found.status == Status.OPTIMAL) & (np.abs(found.y - labels).sum(1) > 0.5)
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(f"{name}[{row}] is no solution of {self.options.model}: another one is the nearest to it")
