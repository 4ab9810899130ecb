"""The page: what was compared, as tables, figures and words."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import jinja2

from experiments.harness.errors import InputError
from experiments.harness.options import show_heat
from experiments.harness.report.compare import Candidate, Comparison, compare
from experiments.harness.report.curves import figures
from experiments.harness.report.figures import swatch
from experiments.harness.report.intervals import Interval
from experiments.harness.report.read import RunRecord, read_run
from experiments.harness.report.reproduce import commands, training_settings
from experiments.harness.run_folder import RunFolder
from experiments.harness.table import EFFORT, TEMPERATURE, Column, Row

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
NOTHING = "–"
WORDS = "method", "solver", "run", "setting", "learns from"
"""headings of columns of words"""


def write_report(runs: Sequence[Path], out: Path) -> None:
    """Write the page of some run folders.

    Raises:
        InputError: when it cannot be written.
    """
    RunFolder(out.parent).write_text(out.name, render([read_run(path) for path in runs]))


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, what it is sorted by, and the command lines that it holds instead."""

    text: str | int
    value: Any = ""
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """A table of the page, that is folded away where it is long."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    is_long: bool = False

    def style(self, index: int) -> str:
        """The class of a column: how its cells are aligned, and whether their text is wrapped."""
        return {"command": "words long", "value": "words long"}.get(
            self.headings[index], "words" if self.headings[index] in WORDS else "number"
        )


def render(records: Sequence[RunRecord]) -> str:
    """The page as HTML."""
    comparisons = [_section(comparison) for comparison in compare(records)]
    runs = [_run(record) for record in records]
    title = comparisons[0]["title"] if len(comparisons) == 1 else f"Report of {len(records)} runs"
    return TEMPLATES.get_template("page.html").render(title=title, comparisons=comparisons, runs=runs) + "\n"


def _section(comparison: Comparison) -> dict[str, Any]:
    ranked, records = comparison.ranked, comparison.records
    numbers = {id(one): number for number, one in enumerate(ranked)}
    tables = [
        _table("Methods, each at its best temperature on validation", comparison, [*ranked, *comparison.baselines])
    ]
    if len(comparison.candidates) > len(ranked):
        tables.append(_table("Every temperature and run", comparison, comparison.candidates, is_long=True))
    tables.append(_by_split(comparison))
    return {
        "title": records[0].title() or str(records[0].config["task"]),
        "verdict": _verdict(comparison),
        "remarks": comparison.remarks,
        "figures": figures(comparison),
        "legend": [(one.label, swatch(numbers[id(one)])) for one in ranked],
        "tables": [table for table in tables if table.rows],
    }


def _verdict(comparison: Comparison) -> dict[str, str] | None:
    """The words of the first screen; None where no training has ended."""
    if not comparison.ranked:
        return None
    best, *others = comparison.ranked
    verdict = {
        "best": _named(best),
        "on": _on(best),
        "needs": " and ".join(best.needs).replace("_", " "),
        "validation": NOTHING,
        "heading": "",
        "test": NOTHING,
    }
    verdict |= {"interval": "the test score is known when the run has ended", "next": "", "apart": ""}
    target, test = comparison.target, comparison.test(best)
    if target is None:
        return verdict
    verdict["heading"] = target.heading
    verdict["validation"] = target.form.format(Interval.of([*best.scores("validation").values()]).mean)
    if test is not None:
        verdict["test"], verdict["interval"] = target.form.format(test.mean), _spread(target.form, test)
    if others:
        second = comparison.test(others[0])
        verdict["next"] = _named(others[0])
        verdict["apart"] = "" if second is None else f"Test {target.heading} {target.form.format(second.mean)}. "
        gap = comparison.difference(best, others[0])
        verdict["apart"] += "" if gap is None else f"The best is {_gap(target.form, gap)}."
    return verdict


def _named(one: Candidate) -> str:
    heat = one.heat
    if heat is None:
        return one.label
    settled = "" if one.settled is None else f" ({one.settled:.3g})"
    return f"{one.label}, {one.option or 'temperature'} = {show_heat(heat)}{settled}".replace("_", " ")


def _on(one: Candidate) -> str:
    count = len(one.scores("validation"))
    return "1 split" if count == 1 else f"{count} splits"


def _spread(form: str, interval: Interval) -> str:
    if interval.half is None:
        return "one split: no interval"
    return f"95 % interval {_ends(form, interval)} over the splits"


def _ends(form: str, interval: Interval) -> str:
    return f"{form.format(interval.low)} to {form.format(interval.high)}"


def _gap(form: str, gap: Interval) -> str:
    """A paired difference in words.

    >>> _gap("{:.1%}", Interval(0.021, 0.03))
    '2.1 points above it (95 % interval -0.9 to +5.1 points, paired by split: the two are not told apart)'
    """
    scale, unit, signed = 1.0, "", form.replace("{:", "{:+")
    if form.endswith("%}"):
        scale, unit, signed = 100.0, " points", signed.replace("%}", "f}")
    low, high = (signed.format(scale * value) for value in (gap.low, gap.high))
    words = f"{signed.format(scale * abs(gap.mean))[1:]}{unit} {'above' if gap.mean >= 0 else 'below'} it"
    if gap.half is None:
        return f"{words} (one split: no interval)"
    apart = "the two are not told apart" if gap.low <= 0 <= gap.high else "the interval leaves out 0"
    return f"{words} (95 % interval {low} to {high}{unit}, paired by split: {apart})"


def _table(caption: str, comparison: Comparison, rows: Sequence[Candidate], is_long: bool = False) -> Table:
    """A row for each candidate, with means over its splits."""
    target, several = comparison.target, len(comparison.records) > 1
    names = _short_paths(comparison.records)
    form = target.form if target else "{:.4g}"
    validation = Column("validation", "on validation", form)
    wanted = [TEMPERATURE, validation, *comparison.columns, *EFFORT]
    means = [_mean(one, wanted) for one in rows]
    columns = [column for column in wanted if column.tells(means)]
    before = [TEMPERATURE.key, validation.key, target.key if target else ""]
    at = max((place for place, column in enumerate(columns, 1) if column.key in before), default=0)
    table = []
    for one, mean in zip(rows, means, strict=True):
        name, test = names[one.record.path], comparison.test(one)
        cells = [Cell(one.label, one.label), *([Cell(name, name)] * several), Cell(len(one.rows), len(one.rows))]
        shown = [Cell(column.show(mean), _sorted_by(mean.get(column.key))) for column in columns]
        shown[at:at] = [Cell(NOTHING) if test is None or test.half is None else Cell(_ends(form, test), test.low)]
        needs = " and ".join(one.needs).replace("_", " ") or NOTHING
        table.append([*cells, *shown, Cell(needs, needs), _command(one)])
    headings = [column.heading for column in columns]
    headings[at:at] = [f"95 % interval, {target.heading}" if target else "95 % interval"]
    headings = ["method", *(["run"] * several), "splits", *headings, "learns from", "command"]
    return Table(caption, headings, table, is_long)


def _short_paths(records: Sequence[RunRecord]) -> dict[Path, str]:
    """The paths of runs without what is common to all."""
    common = os.path.commonpath([record.path.absolute().parent for record in records])
    return {record.path: os.path.relpath(record.path.absolute(), common) for record in records}


def _mean(one: Candidate, columns: Sequence[Column]) -> Row:
    """Means over the splits that have a number, and standard deviations; the temperature of the candidate."""
    mean: Row = {}
    for key in (column.key for column in columns if column is not TEMPERATURE):
        values = list(one.scores(key).values())
        if values:
            mean[key] = fmean(values)
        if len(values) > 1:
            mean[f"{key}_std"] = stdev(values)
    return {**mean, "temperature": one.heat}


def _sorted_by(value: Any) -> Any:
    return "" if value is None else value


def _command(one: Candidate) -> Cell:
    """The command that gives the row."""
    config = one.record.config
    if one.method not in config["methods"]:
        return Cell("with every run")
    try:
        settings = training_settings(config, one.method, one.solver, one.swept, sorted(one.rows) or [*one.epochs])
        return Cell("", lines=commands(config["task"], settings))
    except InputError as error:
        return Cell(f"none: {error}")


def _by_split(comparison: Comparison) -> Table:
    several, columns = len(comparison.records) > 1, [TEMPERATURE, *comparison.columns, *EFFORT]
    names = _short_paths(comparison.records)
    rows = [(record, row) for record in comparison.records for row in record.scores]
    columns = [column for column in columns if column.tells([row for _, row in rows])]
    table = [
        [
            *(Cell(text, text) for text in (row["method"], row["solver"] or NOTHING)),
            *([Cell(names[record.path], names[record.path])] * several),
            Cell(row["split"], row["split"]),
            *(Cell(column.show(row), _sorted_by(row.get(column.key))) for column in columns),
        ]
        for record, row in rows
    ]
    headings = ["method", "solver", *(["run"] * several), "split", *(column.heading for column in columns)]
    return Table("Test scores of every training on every split", headings, table, True)


def _run(record: RunRecord) -> dict[str, Any]:
    """A run by itself: its state, settings, command and pictures."""
    settings = {name: value for name, value in record.config.items() if name != "task"}
    lines: list[str] = []
    try:
        lines = commands(record.config["task"], settings) if record.config else []
        why = ""
    except InputError as error:
        why = str(error)
    images = {}
    for name in record.pictures:
        images[name] = base64.b64encode((record.path / name).read_bytes()).decode("ascii")
    rows = [[Cell(key, key), Cell(_plain(value), _plain(value))] for key, value in record.config.items()]
    return {
        "path": str(record.path),
        "missing": record.missing,
        "settings": Table(f"Settings of {record.path}", ["setting", "value"], rows, True),
        "lines": lines,
        "why": why,
        "images": images,
    }


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
