"""The figures of a comparison: scores against temperature, and how the trainings went."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from experiments.harness.report.compare import Candidate, Comparison
from experiments.harness.report.figures import Line, Point, chart
from experiments.harness.report.intervals import Interval

Figure = tuple[str, Markup]
"""a caption and the SVG"""


def figures(comparison: Comparison) -> list[Figure]:
    """Those that the data allow."""
    return [
        *_against_temperature(comparison),
        *_over_epochs(comparison),
    ]


def _point(x: float, values: Sequence[float], form: str, name: str, chosen: bool = False) -> Point:
    """The mean of some splits with its interval, and what is said of it."""
    one = Interval.of(values)
    spread = (
        "1 split" if one.half is None else f"{form.format(one.low)} to {form.format(one.high)}, {len(values)} splits"
    )
    tip = f"{name}: {form.format(one.mean)} ({spread})" + (", chosen on validation" if chosen else "")
    return Point(x, one.mean, one.low, one.high, tip, chosen)


def _against_temperature(comparison: Comparison) -> list[Figure]:
    """The test score (on validation, where it is not known) of each method at each temperature."""
    target, lines = comparison.target, []
    if target is None:
        return []
    key = target.key if any(one.scores(target.key) for one in comparison.candidates) else "validation"
    for number, chosen in enumerate(comparison.ranked):
        at: dict[float, Candidate] = {}
        for one in comparison.candidates:
            heat = one.temperature
            if one.label == chosen.label and heat is not None and one.scores(key):
                at[heat] = one if one is chosen else max(at.get(heat, one), one, key=_validated)
        if len(at) < 2:
            continue
        measured = [one for one in comparison.candidates if one.label == chosen.label and one.settled is not None]
        common = set.intersection(*(set(one.scores(key)) for one in at.values()))
        points = [
            _point(
                heat,
                [score for split, score in one.scores(key).items() if split in common or not common],
                target.form,
                f"{one.label}, {one.option or 'temperature'} = {heat:g}",
                one is chosen,
            )
            for heat, one in sorted(at.items())
        ]
        lines.append(Line(chosen.label, number, points))
        for one in measured:
            name = f"{one.label}, {one.heat}, {one.option or 'temperature'} = {one.settled:.3g} at the end"
            scores = list(one.scores(key).values())
            if scores and one.settled is not None:
                mark = _point(one.settled, scores, target.form, name, one is chosen)
                lines.append(Line(f"{one.label}, {one.heat}", number, [mark]))
    if not lines:
        return []
    what = f"{'validation' if key == 'validation' else 'test'} {target.heading}"
    caption = (
        f"{what.capitalize()} against temperature: means over the splits that all temperatures of a method have, with "
        "95 % intervals; a ring marks the temperature that is best on validation."
    )
    return [(caption, chart(caption, "temperature", what, lines, target.form, log_x=True))]


def _validated(one: Candidate) -> float:
    scores = one.scores("validation")
    return sum(scores.values()) / len(scores) if scores else float("-inf")


def _over_epochs(comparison: Comparison) -> list[Figure]:
    found, target = [], comparison.target
    wanted = [("loss", "training loss", "{:.3g}")]
    if target is not None:
        wanted.insert(0, (f"validation_{target.key}", f"validation {target.heading}", target.form))
    for key, what, form in wanted:
        lines = []
        for number, one in enumerate(comparison.ranked):
            values: dict[int, list[float]] = {}
            for row in (row for rows in one.epochs.values() for row in rows):
                if row.get(key) is not None and row.get("epoch") is not None:
                    values.setdefault(int(row["epoch"]), []).append(row[key])
            name = f"{one.label}, epoch {{}}, {what}"
            points = [_point(epoch, own, form, name.format(epoch)) for epoch, own in sorted(values.items())]
            lines += [Line(one.label, number, points)] if points else []
        if lines:
            positive = key == "loss" and all(point.y > 0 for line in lines for point in line.points)
            caption = (
                f"{what.capitalize()} over the epochs, at the chosen temperatures: means over splits, 95 % intervals"
            )
            caption += " (methods have different losses)." if key == "loss" else "."
            found.append((caption, chart(caption, "epoch", what, lines, form, log_y=positive)))
    return found
