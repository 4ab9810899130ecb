"""Rankings: learn to score items from nothing but the order of lists of them.

Trains one network through soft ranks, relaxed permutations and black-box rankings, beside losses that sort nothing, and
writes one results folder: config.json, metrics.csv, checkpoints, summary.csv and .json, pictures, report.html.

examples:
  python -m experiments ranking
  python -m experiments ranking --length 9 --method soft-rank neuralsort --epsilon 0.3
  python -m experiments ranking --preset full --splits 5
  python -m experiments ranking --data labels:FOLDER/glass.csv --splits 10
  python -m experiments ranking --data races:races.csv.gz
  python -m experiments ranking --data letor:FOLDER
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from combdiff.solvers import Ranking, Solver
from experiments.harness.errors import InputError
from experiments.harness.options import option
from experiments.harness.source import SourceTask
from experiments.harness.table import Column
from experiments.harness.task import distance
from experiments.ranking.digits import Digits, Mnist
from experiments.ranking.labels import Labels
from experiments.ranking.letor import Letor
from experiments.ranking.lists import Lists, Source
from experiments.ranking.races import Races

SOURCES: dict[str, type[Source]] = {
    "digits": Digits,
    "mnist": Mnist,
    "labels": Labels,
    "letor": Letor,
    "races": Races,
}


@dataclass
class Rankings(SourceTask[Lists, Source]):
    """Lists of items, and the order of each."""

    sources: ClassVar[Mapping[str, type[Source]]] = SOURCES
    target: str = ""
    shift_invariant: ClassVar[bool] = True
    columns: tuple[Column, ...] = ()

    data: str = option("digits", f"{', '.join(SOURCES)}; all but digits with :PATH, labels with or without")
    length: int = option(5, "items of a list (digits, mnist)", least=2)
    places: int = option(4, "digits of a number (digits, mnist)", least=1)
    lists: int = option(2000, "training lists (digits, mnist)", least=1)
    test_lists: int = option(1000, "test lists, and as many for validation (digits, mnist)", least=1)
    reader: Literal["tiles", "paper"] = option("tiles", "what reads a number: digit by digit, or as Grover et al.")
    train_from: int = option(2003, "first season of training (races)")
    test_from: int = option(2021, "first test season; the three before are for validation (races)")
    features: Literal["normal-scores", "logarithms"] = option("normal-scores", "what the network sees of them (letor)")
    width: int = option(64, "hidden units (letor)", least=1)
    dropout: float = option(0.3, "share of features and of hidden units that is dropped in training (letor)")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout={self.dropout} must be at least 0 and less than 1")
        self.target, self.columns = self.source.target, self.source.columns

    @classmethod
    def choices(cls) -> str:
        with_path = [name for name, source in SOURCES.items() if source.takes_path is not False]
        return f"digits, labels, or one of {', '.join(with_path)} with :PATH"

    def solver(self, backend: str, examples: Lists) -> Solver:
        return Ranking(examples.solutions.shape[1])

    def loss(self, y: Tensor, examples: Lists) -> Tensor:
        return distance("squared", y, examples.solutions)

    def score(self, solutions: Tensor, examples: Lists, costs: Tensor | None = None) -> dict[str, float]:
        return self.source.score(solutions, examples)
