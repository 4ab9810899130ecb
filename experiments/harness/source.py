"""Tasks with several kinds of data: `--data KIND` or `--data KIND:PATH`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor, nn

from experiments.harness.errors import InputError
from experiments.harness.options import option
from experiments.harness.table import Row
from experiments.harness.task import DataSet, E, Learned, Problem, Task

PATHS = {True: ":PATH", False: "", None: "[:PATH]"}


class Source(Problem[E]):
    """One kind of data of a task: what `--data` names.

    Args:
        options: the task, whose options it reads.
        path: what follows the colon of `--data`; empty if nothing does.

    Attributes:
        takes_path: whether `--data` has a :PATH; None: it may.
        methods: what is trained unless the command line says.
        presets: settings of "demo" and "full" that are not the defaults.
    """

    takes_path: ClassVar[bool | None] = False
    methods: ClassVar[tuple[str, ...]]
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    def __init__(self, options: Any, path: str) -> None:
        self.options, self.path = options, Path(path)


S = TypeVar("S", bound=Source[Any])


@dataclass
class SourceTask(Task[E], Generic[E, S]):
    """A task that leaves to its source what depends on the data; it declares `data` again, with its default.

    Attributes:
        sources: the kinds of data by name.
        source: what `data` names.
    """

    methods: ClassVar[tuple[str, ...]] = ()
    sources: ClassVar[Mapping[str, type[Any]]]

    data: str = option("", "which kind")
    source: S = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        kind, colon, path = self.data.partition(":")
        takes = {name: source.takes_path for name, source in self.sources.items()}
        if kind not in takes or bool(colon) != bool(path) or takes[kind] not in (bool(path), None):
            raise InputError(f"data={self.data!r} must be {self.choices()}")
        self.source = self.sources[kind](self, path)

    @classmethod
    def choices(cls) -> str:
        """What `data` may be, in words."""
        return f"one of {named(cls.sources)}"

    @classmethod
    def preset(cls, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        default = str(cls.options()["data"].default)
        source = cls.sources.get(str(given.get("data", default)).partition(":")[0], cls.sources[default])
        return {"methods": source.methods, **source.presets.get(name, {})}

    def describe(self) -> str:
        return self.source.describe()

    def load(self, split: int) -> DataSet[E]:
        return self.source.load(split)

    def network(self, examples: E) -> nn.Module:
        return self.source.network(examples)

    def loss(self, y: Tensor, examples: E) -> Tensor:
        return self.source.loss(y, examples)

    def completed(self, costs: Tensor, examples: E) -> Tensor:
        return self.source.completed(costs, examples)

    def baselines(self, examples: E) -> dict[str, Tensor]:
        return self.source.baselines(examples)

    def remarks(self, examples: E, metrics: Sequence[Row], learned: Sequence[Learned]) -> list[str]:
        return self.source.remarks(examples, metrics, learned)

    def pictures(
        self, folder: Path, metrics: Sequence[Row], rows: Sequence[Row], examples: E, learned: Sequence[Learned]
    ) -> list[str]:
        return self.source.pictures(folder, metrics, rows, examples, learned)


def named(sources: Mapping[str, type[Any]]) -> str:
    """The kinds of data, with the paths that they take."""
    return ", ".join(name + PATHS[source.takes_path] for name, source in sources.items())
