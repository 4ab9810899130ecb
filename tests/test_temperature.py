import math
from typing import Any

import numpy as np
import pytest
import torch

from combdiff import Interpolation, Perturbed
from combdiff.solvers import TopK
from combdiff.temperature import Geometric, Linear, Schedule


@pytest.mark.parametrize("kind", [Geometric, Linear])
def test_from_start_to_end_and_no_further(kind: type[Schedule]) -> None:
    schedule = kind(2.0, 0.5, steps=4)
    values = []
    for _ in range(7):
        values.append(float(schedule))
        schedule.step()
    assert values[0] == pytest.approx(2.0)
    assert values[4:] == pytest.approx([0.5] * 3)
    assert values[:5] == sorted(values[:5], reverse=True)


def test_midpoints() -> None:
    for schedule, middle in ((Geometric(4.0, 1.0, 2), 2.0), (Linear(4.0, 1.0, 2), 2.5)):
        schedule.step()
        assert float(schedule) == pytest.approx(middle)


def test_a_checkpoint_goes_on() -> None:
    one, two = Geometric(1.0, 0.1, 10), Geometric(1.0, 0.1, 10)
    for _ in range(3):
        one.step()
    two.load_state_dict(one.state_dict())
    assert float(one) == float(two)


@pytest.mark.parametrize(("start", "end", "steps"), [(0.0, 1.0, 2), (1.0, -1.0, 2), (1.0, math.inf, 2), (1.0, 2.0, 0)])
def test_bad_schedules(start: float, end: float, steps: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        Geometric(start, end, steps)


@pytest.mark.parametrize("number", [np.int64(10), np.float32(10), np.float64(10), 10])
def test_numbers_of_numpy_are_not_refused(number: Any) -> None:
    layer = Interpolation(TopK(3), lam=number)
    assert layer.lam == 10.0
    assert type(layer.lam) is float


def test_bad_parameter_as_a_temperature() -> None:
    parameter = torch.nn.Parameter(torch.tensor(0.5))
    with pytest.raises(TypeError, match=r"sigma cannot be an nn\.Parameter.*sigma=parameter\.item\(\)"):
        Perturbed(TopK(3), sigma=parameter)  # type: ignore[arg-type]
    layer = Interpolation(TopK(3))
    with pytest.raises(TypeError, match=r"lam cannot be an nn\.Parameter"):
        layer.lam = parameter  # type: ignore[assignment]
    assert layer.lam == 1.0
    assert not list(layer.parameters())
