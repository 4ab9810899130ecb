"""Progress bars on a terminal, and silence elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class StepBars:
    """One bar for each training: steps done, and whatever figures are worth watching.

    Args:
        console: where to draw; nothing is drawn unless it is a terminal.
    """

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._of: dict[str, TaskID] = {}

    def start(self, title: str, done: int, total: int) -> None:
        """A training begins, after the steps that were done before."""
        self._of[title] = self._bars.add_task(title, total=total, completed=done, figures="")

    def step(self, title: str, figures: str) -> None:
        """One step more, and the figures of the moment."""
        self._bars.update(self._of[title], advance=1, figures=figures)

    def end(self, title: str) -> None:
        """A training has ended."""
        self._bars.remove_task(self._of[title])

    def __enter__(self) -> StepBars:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
