"""The summary of a run: a table on the terminal, and the same rows as JSON and CSV."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.harness.run_folder import RunFolder

Row = dict[str, Any]
Groups = Sequence[Sequence[Row]]
Columns = Sequence["Column"]
LOG_WIDTH = 120
"""columns of the output where it does not go to a terminal"""


def log_console() -> Console:
    """The terminal, or what stands in for it, with lines of `LOG_WIDTH` columns."""
    console = Console()
    return console if console.is_terminal else Console(width=LOG_WIDTH)


@dataclass(frozen=True)
class Column:
    """One column: the key in a row, its heading, how a number is written (`{:.1%}`), and what is not worth a column."""

    key: str
    heading: str
    form: str = "{}"
    plain: Any = None

    def show(self, row: Row) -> str:
        """The cell of a row, with the spread over splits where the row is a mean.

        >>> Column("ratio", "cost ratio", "{:.3f}").show({"ratio": 1.0042, "ratio_std": 0.0011})
        '1.004 ± 0.001'
        """
        value = row.get(self.key)
        if _is_missing(value):
            return "–"
        if isinstance(value, str):
            return value
        spread = row.get(f"{self.key}_std")
        return self.form.format(value) + ("" if spread is None else f" ± {self.form.format(spread)}")

    def tells(self, rows: Sequence[Row]) -> bool:
        """Whether any row has a value that is not plain."""
        return not all(_is_missing(row.get(self.key)) or row[self.key] == self.plain for row in rows)


TEMPERATURE = Column("temperature", "temperature", "{:g}")
EFFORT = (
    Column("seconds", "train s", "{:.0f}"),
    Column("solver_share", "in solver", "{:.1%}"),
    Column("solve_ms", "ms a solve", "{:.3f}"),
)
"""what a training took"""


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def mean_rows(rows: Sequence[Row], labels: Sequence[str], over: str) -> list[Row]:
    """For equal values of the labels, the mean of the numbers over the values of `over`, and their standard deviation.

    >>> mean_rows([{"method": "a", "split": 0, "x": 1.0}, {"method": "a", "split": 1, "x": 3.0}], ["method"], "split")
    [{'method': 'a', 'split': 'mean', 'x': 2.0, 'x_std': 1.4142135623730951}]
    """
    means = []
    for names in dict.fromkeys(tuple(row[label] for label in labels) for row in rows):
        group = [row for row in rows if tuple(row[label] for label in labels) == names]
        mean: Row = {**dict(zip(labels, names, strict=True)), over: "mean"}
        for key in group[0]:
            values = [row[key] for row in group]
            if key not in mean and all(isinstance(value, int | float) for value in values):
                mean[key] = fmean(values)
                if len(values) > 1:
                    mean[f"{key}_std"] = float(np.std(values, ddof=1))
        means.append(mean)
    return means


def print_table(console: Console, title: str, columns: Columns, groups: Groups) -> None:
    """Print the rows, with a line between the groups."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.heading, justify="left" if column.form == "{}" else "right", no_wrap=True)
    for group in groups:
        for row in group:
            table.add_row(*(column.show(row) for column in columns))
        table.add_section()
    console.print(table)


def save_table(folder: RunFolder, name: str, columns: Columns, rows: Sequence[Row]) -> None:
    """Write the rows as a table of Markdown, for a page to quote."""
    lines = [[column.heading for column in columns], ["---" if column.form == "{}" else "---:" for column in columns]]
    lines += [[column.show(row) for column in columns] for row in rows]
    folder.write_text(name, "".join(f"| {' | '.join(line)} |\n" for line in lines))


def save_summary(folder: RunFolder, rows: Sequence[Row]) -> None:
    """Write `summary.json` and `summary.csv`; a NaN is null, and empty."""
    plain = [{key: None if _is_missing(value) else value for key, value in row.items()} for row in rows]
    folder.write_json("summary.json", plain)
    folder.write_csv("summary.csv", plain)
