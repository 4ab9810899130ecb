"""SAT trained end to end: read a Sudoku from pictures of its clues, labelled by nothing but its solution.

Trains one network through a SAT solver that knows the rules, beside networks that were trained without it, and writes
one results folder: config.json, metrics.csv, checkpoints, summary.csv and .json, pictures, report.html.

examples:
  python -m experiments sat
  python -m experiments sat --supervision boards --splits 3
  python -m experiments sat --data sudoku9:FOLDER --level easy --preset full
  python -m experiments sat --data photos:FOLDER
  python -m experiments sat --data rules4
  python -m experiments sat --data rules9:FOLDER --preset full --threads 2 --workers 1
  python -m experiments sat --data parity
  python -m experiments sat --data weights --splits 3
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from combdiff.solvers import Solver
from experiments.harness.errors import InputError
from experiments.harness.options import option
from experiments.harness.source import SourceTask, named
from experiments.harness.table import Column
from experiments.sat.parity import Parity
from experiments.sat.photos import Photos
from experiments.sat.rules import Rules4, Rules9
from experiments.sat.source import Source
from experiments.sat.sudoku import Sudoku4, Sudoku9
from experiments.sat.weights import Weights

SOURCES: dict[str, type[Source]] = {
    "sudoku4": Sudoku4,
    "sudoku9": Sudoku9,
    "rules4": Rules4,
    "rules9": Rules9,
    "parity": Parity,
    "photos": Photos,
    "weights": Weights,
}


@dataclass
class Satisfiability(SourceTask[Any, Source]):
    """Feasible sets given by clauses: which solution is wanted is learned."""

    sources: ClassVar[Mapping[str, type[Source]]] = SOURCES
    backends: ClassVar[tuple[str, ...]] = ("auto", "kernel", "rc2", "cp_sat", "table")
    shift_invariant: bool = True
    target: str = ""
    columns: tuple[Column, ...] = ()

    data: str = option("sudoku4", named(SOURCES))
    supervision: Literal["blanks", "boards"] = option(
        "blanks", "what is labelled: the cells of a Sudoku that are no clues, or all of them"
    )
    labelled: float = option(1.0, "share of these cells of the training boards that is labelled", positive=True)
    boards: int = option(1000, "training boards, or strings of parity", least=1)
    test_boards: int = option(500, "test boards or strings, and as many for validation", least=1)
    clues: int = option(4, "digits are removed while more than these are left and one solution (sudoku4)", least=4)
    level: str = option("easy", "which of the files NAME.txt and NAME.solutions.txt of a folder (sudoku9, rules9)")
    digits: str = option("scans", "handwriting: scans (of scikit-learn), or mnist:FILE (Sudoku)")
    length: int = option(20, "bits of a string (parity)", least=2)
    examples: int = option(400, "training examples of best assignments (weights)", least=1)
    test_examples: int = option(200, "test examples, and as many for validation (weights)", least=1)
    soft: int = option(16, "soft clauses, whose weights are learned (weights)", least=1)
    features: int = option(3, "numbers that the weights depend on; 0: they are the same for all (weights)", least=0)
    given: int = option(5, "literals of its own that must hold in each example (weights)", least=0)
    label_noise: float = option(0.0, "σ of what is added to the weights behind each example to learn from (weights)")
    time_limit: float = option(0.5, "seconds for one board (9×9, photographs)", positive=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labelled > 1:
            raise InputError(f"labelled={self.labelled} must be at most 1: a share of the cells")
        self.target, self.columns = self.source.target, self.source.columns
        self.shift_invariant = self.source.shift_invariant

    def solver(self, backend: str, examples: Any) -> Solver:
        if backend not in self.source.backends:
            raise InputError(f"solver {backend!r} is none of {', '.join(self.source.backends)} (--data {self.data})")
        return self.source.solver(backend, examples)

    def solve(self, costs: Tensor, examples: Any) -> Tensor:
        return self.source.solve(costs, examples)

    def score(self, solutions: Tensor, examples: Any, costs: Tensor | None = None) -> dict[str, float]:
        return self.source.score(solutions, examples, costs)
