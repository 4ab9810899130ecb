import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from combdiff import (
    AdaptiveImplicitMLE,
    FenchelYoungLoss,
    Identity,
    ImplicitMLE,
    Interpolation,
    LagrangianProximal,
    PairwiseLoss,
    Perturbed,
    SoftNDCGLoss,
    SoftTopKLoss,
    SpearmanLoss,
    StraightThrough,
    TrimmedLoss,
)
from combdiff.soft import SoftArgmax, SoftMedian, SoftPermutation, SoftQuantile, SoftRank, SoftSort, SoftTopK
from combdiff.solvers import TopK
from combdiff.temperature import Adaptive, Constant, Cosine, Geometric, Linear, OnPlateau, Ramp, Schedule


@pytest.mark.parametrize("kind", [Geometric, Linear, Cosine])
def test_from_start_to_end_and_no_further(kind: type[Ramp]) -> None:
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


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("patience", "cooldown", "threshold"), [(0, 0, 0.0), (2, 0, 0.1), (1, 3, 1e-4)])
def test_on_plateau_counts_as_torch_does(mode: Any, patience: int, cooldown: int, threshold: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    options: dict[str, Any] = {"factor": 0.5, "patience": patience, "cooldown": cooldown, "threshold": threshold}
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, min_lr=0.01, eps=0.0, **options)
    ours = OnPlateau(1.0, mode, least=0.01, **options)
    for metric in np.random.default_rng(patience).random(60) + 0.1:
        theirs.step(metric)
        ours.step(metric)
        assert float(ours) == pytest.approx(optimizer.param_groups[0]["lr"])
    assert float(ours) < 0.1


def test_every_schedule_goes_on_from_a_checkpoint() -> None:
    makers: list[Callable[[], Any]] = [
        lambda: Constant(0.5),
        lambda: Geometric(1.0, 0.1, 10),
        lambda: Cosine(1.0, 0.1, 9),
        lambda: OnPlateau(1.0, patience=1),
        lambda: Adaptive(1.0, 0.9),
        lambda: Adaptive(1.0, 0.9, hold=True),
    ]

    def steps(schedule: Any, number: int) -> Any:
        for k in range(number):
            if isinstance(schedule, Adaptive):
                schedule.feed(0.2 + 0.1 * k, 32)
            schedule.step(*([1.0] if isinstance(schedule, OnPlateau) else []))
        return schedule

    for make in makers:
        one, two = steps(make(), 5), make()
        two.load_state_dict(one.state_dict())
        assert two.state_dict() == one.state_dict()
        assert float(steps(one, 2)) == float(steps(two, 2))
        assert f"{float(one):g}" in repr(one)
    with pytest.raises(ValueError, match="of another schedule"):
        Adaptive(1.0).load_state_dict(Geometric(1.0, 0.1, 2).state_dict())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(0.0), r"value=0\.0"),
        (lambda: Cosine(1.0, 0.1, 0), "steps=0"),
        (lambda: Cosine(1.0, 0.1, 1.5), r"steps=1\.5"),  # type: ignore[arg-type]
        (lambda: OnPlateau(1.0, "least"), "mode='least'"),  # type: ignore[arg-type]
        (lambda: OnPlateau(1.0, factor=1.0), r"factor=1\.0"),
        (lambda: OnPlateau(1.0, patience=-1), "patience=-1"),
        (lambda: OnPlateau(1.0, threshold=-0.1), r"threshold=-0\.1"),
        (lambda: Adaptive(-1.0), r"start=-1\.0"),
        (lambda: Adaptive(1.0, target=1.0), r"target=1\.0"),
        (lambda: Adaptive(1.0, signal="loss"), "signal='loss'"),  # type: ignore[arg-type]
        (lambda: Adaptive(1.0, least=2.0, most=1.0), "least=2"),
    ],
)
def test_bad_arguments_are_named(make: Callable[[], Schedule], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


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


METHODS = [
    (lambda: Perturbed(TopK(3), sigma=0.5), "sigma"),
    (lambda: Interpolation(TopK(3), lam=0.5), "lam"),
    (lambda: LagrangianProximal(TopK(3), tau=0.5), "tau"),
    (lambda: ImplicitMLE(TopK(3), lam=0.5), "lam"),
    (lambda: AdaptiveImplicitMLE(TopK(3), alpha=0.5), "alpha"),
    (lambda: StraightThrough(Perturbed(TopK(3), sigma=0.5)), "layer.sigma"),
    (lambda: FenchelYoungLoss(Perturbed(TopK(3), sigma=0.5)), "layer.sigma"),
    (lambda: SpearmanLoss(regularization_strength=0.5), "regularization_strength"),
    (lambda: PairwiseLoss(0.5), "regularization_strength"),
    (lambda: SoftNDCGLoss(regularization_strength=0.5), "regularization_strength"),
    (lambda: SoftTopKLoss(1, regularization_strength=0.5), "regularization_strength"),
    (lambda: TrimmedLoss(0.25, regularization_strength=0.5), "regularization_strength"),
    *(
        (lambda kind=kind, args=args: kind(*args, regularization_strength=0.5), "regularization_strength")
        for kind, args in (
            (SoftRank, ()),
            (SoftSort, ()),
            (SoftTopK, (2,)),
            (SoftQuantile, (0.5,)),
            (SoftMedian, ()),
            (SoftArgmax, ()),
            (SoftPermutation, ()),
        )
    ),
]


@pytest.mark.parametrize(("make", "name"), METHODS, ids=lambda part: part if isinstance(part, str) else "")
def test_every_method_has_one_temperature_beside_its_own_name(make: Any, name: str) -> None:
    method = make()
    *path, last = name.split(".")
    owner = method if not path else getattr(method, path[0])
    assert method.temperature == getattr(owner, last) == 0.5
    method.temperature = 2.0
    assert method.temperature == getattr(owner, last) == 2.0
    setattr(owner, last, schedule := Geometric(1.0, 0.1, 2))
    assert method.temperature is schedule


def test_a_learnt_strength_is_set_by_either_name() -> None:
    module = SoftRank()
    module.temperature = torch.nn.Parameter(torch.tensor(0.1))
    assert [name for name, _ in module.named_parameters()] == ["regularization_strength"]
    module(torch.tensor([0.3, 0.32, 2.0])).square().sum().backward()
    assert next(module.parameters()).grad is not None


def test_bad_temperatures_are_refused_by_either_name() -> None:
    layer = Perturbed(TopK(3))
    with pytest.raises(ValueError, match=r"sigma=-1\.0 must be"):
        layer.temperature = -1.0
    with pytest.raises(TypeError, match=r"temperature cannot be an nn\.Parameter"):
        layer.temperature = torch.nn.Parameter(torch.tensor(0.5))  # type: ignore[assignment]


def test_a_method_without_a_temperature_says_so() -> None:
    layer = Identity(TopK(3))
    assert layer.temperature is None
    with pytest.raises(AttributeError, match="temperature"):
        layer.temperature = 0.5  # type: ignore[assignment]
