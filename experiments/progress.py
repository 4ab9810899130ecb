"""A progress bar on a terminal, and silence elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class StepBar:
    """One bar for one training: steps done, and whatever figures are worth watching.

    Args:
        console: where to draw; nothing is drawn unless it is a terminal.
        title: what is being trained.
        total: steps in all.
        done: steps done before (by the run that is resumed).
    """

    def __init__(self, console: Console, title: str, total: int, done: int = 0) -> None:
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=total, completed=done, figures="")

    def step(self, figures: str) -> None:
        """One step more, and the figures of the moment."""
        self._bar.update(self._task, advance=1, figures=figures)

    def __enter__(self) -> StepBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
