"""Figures as SVG, for a page that is light or dark: lines with bands, and a value for each point under the pointer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

COLOURS, DASHES = 8, ("", "6 3", "2 3", "8 3 2 3")
WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 72, 448, 12, 252
TICKS_APART = 30  # pixels between their labels


@dataclass(frozen=True)
class Point:
    """A point of a line, the ends of its band, what is said of it, and whether it was chosen."""

    x: float
    y: float
    low: float
    high: float
    tip: str
    chosen: bool = False


@dataclass(frozen=True)
class Line:
    """A line of a figure; lines of the same number look alike in all figures of a page."""

    name: str
    number: int
    points: Sequence[Point]


def swatch(number: int) -> Markup:
    """A short piece of the line of that number, for a legend."""
    dash = DASHES[number // COLOURS % len(DASHES)]
    line = Markup('<path class="line c{}" stroke-dasharray="{}" d="M0 5H28"/>').format(number % COLOURS, dash)
    return Markup('<svg width="28" height="10" aria-hidden="true">{}</svg>').format(line)


def chart(
    name: str, x_label: str, y_label: str, lines: Sequence[Line], form: str, log_x: bool = False, log_y: bool = False
) -> Markup:
    """One figure.

    Args:
        name: read aloud in its place.
        x_label: of the horizontal axis.
        y_label: of the vertical axis.
        lines: at least one, with at least one point.
        form: how a number of the vertical axis is written.
        log_x: whether the horizontal axis is logarithmic; its numbers are positive then.
        log_y: likewise.
    """
    points = [point for line in lines for point in line.points]
    heights = _heights(points, log_y)
    x, xs = _scale([p.x for p in points], LEFT + 8, RIGHT - 8, log_x, whole=not log_x)
    y, ys = _scale(heights, BOTTOM - 4, TOP + 4, log_y, whole=False)
    parts = [
        Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, name),
        *(_tick_x(x(tick), f"{tick:g}") for tick in xs),
        *(_tick_y(y(tick), form.format(tick)) for tick in ys),
        Markup('<path class="axis" d="M{0} {1}V{2}H{3}"/>').format(LEFT, TOP, BOTTOM, RIGHT),
        Markup('<text class="label" x="{}" y="{}" text-anchor="middle">{}</text>').format(
            (LEFT + RIGHT) / 2, HEIGHT - 8, x_label
        ),
        Markup('<text class="label" transform="translate(13 {}) rotate(-90)" text-anchor="middle">{}</text>').format(
            (TOP + BOTTOM) / 2, y_label
        ),
    ]
    for line in lines:
        parts.append(_draw(line, x, lambda value: y(min(max(value, heights[0]), heights[1]))))
    return Markup("\n").join([*parts, Markup("</svg>")])


def _heights(points: Sequence[Point], log: bool) -> tuple[float, float]:
    """The ends of the vertical axis: bands are cut off that reach far beyond all lines (those of two splits do)."""
    low, high = min(point.y for point in points), max(point.y for point in points)
    least, most = min(point.low for point in points), max(point.high for point in points)
    if log:
        return (max(least, low / 2) if least > 0 else low), min(most, high * 2)
    room = (high - low) / 3 or max(most - least, 0.0)
    return max(least, low - room), min(most, high + room)


def _draw(line: Line, x: Callable[[float], float], y: Callable[[float], float]) -> Markup:
    at = [(x(point.x), y(point.y)) for point in line.points]
    upper = [(x(point.x), y(point.high)) for point in line.points]
    lower = [(x(point.x), y(point.low)) for point in line.points]
    marks = []
    for point, (px, py) in zip(line.points, at, strict=True):
        if point.chosen:
            marks.append(Markup('<circle class="chosen" cx="{:.1f}" cy="{:.1f}" r="8"/>').format(px, py))
        marks.append(
            Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="3" data-tip="{}"/>').format(px, py, point.tip)
        )
    return Markup(
        '<g class="series c{}" data-line="{}"><path class="band" d="{}Z"/>'
        '<path class="line" stroke-dasharray="{}" d="{}"/>{}</g>'
    ).format(
        line.number % COLOURS,
        line.name,
        _path([*upper, *reversed(lower)]),
        DASHES[line.number // COLOURS % len(DASHES)],
        _path(at),
        Markup("").join(marks),
    )


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _tick_x(x: float, text: str) -> Markup:
    return Markup(
        '<path class="grid" d="M{0:.1f} {1}V{2}"/><text x="{0:.1f}" y="{3}" text-anchor="middle">{4}</text>'
    ).format(x, TOP, BOTTOM, BOTTOM + 18, text)


def _tick_y(y: float, text: str) -> Markup:
    return Markup(
        '<path class="grid" d="M{0} {1:.1f}H{2}"/><text x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>'
    ).format(LEFT, y, RIGHT, LEFT - 6, y + 4, text)


def _scale(
    values: Sequence[float], start: float, end: float, log: bool, whole: bool
) -> tuple[Callable[[float], float], list[float]]:
    """Numbers to pixels, and the numbers that have a label."""
    low, high = min(values), max(values)
    if low == high:
        low, high = (low / 2, high * 2) if log else (low - (abs(low) or 1) / 10, high + (abs(high) or 1) / 10)
    bend = math.log10 if log else float
    first, last = bend(low), bend(high)

    def place(value: float) -> float:
        return start + (bend(value) - first) / (last - first) * (end - start)

    ticks: list[float] = []
    for tick in _logarithmic(low, high) if log else _linear(low, high, whole):
        if all(abs(place(tick) - place(other)) >= TICKS_APART for other in ticks):
            ticks.append(tick)
    return place, ticks


def _linear(low: float, high: float, whole: bool) -> list[float]:
    """Round numbers between two ends.

    >>> _linear(0.0, 1.0, False)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    power = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) <= 5)
    step = max(step, 1.0) if whole else step
    return [round(step * k, 12) for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _logarithmic(low: float, high: float) -> list[float]:
    """Powers of ten between two ends, then (for where there is room) 3 and 2 and 5 times those.

    >>> _logarithmic(0.1, 12.0)[:4]
    [0.1, 1.0, 10.0, 0.3]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{factor}e{power}") for factor in (1, 3, 2, 5) for power in powers]
    return [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)] or [low, high]
