"""What a run is told: one flat object, checked, and kept in `config.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from experiments.errors import InputError

METHODS = ("perturbed", "interpolation", "two-stage")
LOSSES = ("fenchel-young", "hamming", "squared")
SOURCES = ("digits", "warcraft", "planning")
SIZES = (12, 18, 24, 30)
Preset = Literal["demo", "full"]
SEEDS = 2**32
"""seeds and splits are below it: NumPy's and scikit-learn's generators take no larger ones"""


@dataclass(frozen=True)
class Config:
    """The settings of a run; the same settings give the same numbers.

    Attributes:
        data: "digits", "warcraft:PATH" or "planning:PATH".
        environment: of the planning data, where PATH is a folder.
        terrain: of the digits, "smooth" or "independent".
        augment: how training images of digits are varied, for every method: "warp" (a random affine warp of each
            tile, and pixel noise), "noise" (pixel noise only) or "none".
        size: cells of a map each way; None for data that have a size.
        methods: what is trained, in this order.
        loss: None for each method's own ("fenchel-young" for perturbed, "hamming" for interpolation).
        sigma, samples, noise, mode: of `combdiff.Perturbed`.
        lam: λ of `combdiff.Interpolation`, for the loss of one map.
        splits: seeds of the data: which digits, maps or starts are drawn.
        seed: of the network and the training.
        maps, validation_maps, test_maps: how many maps are drawn (of data that come as files: at most all there are).
        epochs: passes over the training maps.
        batch: maps a step.
        learning_rate: the peak of a one-cycle schedule.
        weight_decay: of AdamW.
    """

    data: str = "digits"
    environment: str | None = None
    terrain: Literal["smooth", "independent"] = "smooth"
    augment: Literal["warp", "noise", "none"] = "warp"
    size: int | None = None
    methods: tuple[str, ...] = METHODS
    loss: str | None = None
    sigma: float = 0.3
    samples: int = 8
    noise: Literal["gaussian", "gumbel"] = "gaussian"
    mode: Literal["additive", "multiplicative"] = "additive"
    lam: float = 20.0
    splits: tuple[int, ...] = (0,)
    seed: int = 0
    maps: int = 5000
    validation_maps: int = 1000
    test_maps: int = 1000
    epochs: int = 5
    batch: int = 8
    learning_rate: float = 5e-3
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            _check_type(name, getattr(self, name), hint)
        source, _, path = self.data.partition(":")
        _known("data", source, SOURCES)
        if (source == "digits") == bool(path):
            raise InputError(f"data={self.data!r}: write digits, warcraft:PATH or planning:PATH")
        for method in self.methods:
            _known("method", method, METHODS)
        if self.loss is not None:
            _known("loss", self.loss, LOSSES)
        if source == "digits" and self.size is not None and self.size < 2:
            raise InputError(f"size={self.size}: a map needs at least 2 cells each way")
        for name in ("samples", "maps", "validation_maps", "test_maps", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must be at least 1")
        for name in ("sigma", "lam", "learning_rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name}={getattr(self, name)} must be a positive, finite number")
        if not self.methods or not self.splits:
            raise InputError("a run needs at least one method and one split")
        for name, seed in [("seed", self.seed), *(("split", split) for split in self.splits)]:
            if not 0 <= seed < SEEDS - 1:
                raise InputError(f"{name}={seed} must be a whole number from 0 to {SEEDS - 2}")

    @property
    def source(self) -> str:
        """Which kind of data: "digits", "warcraft" or "planning"."""
        return self.data.partition(":")[0]

    @property
    def path(self) -> str:
        """Where the data lie, for those that come as files."""
        return self.data.partition(":")[2]

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Config:
        """The settings of a `config.json`.

        Raises:
            InputError: for a field that does not exist, or a value that makes no sense.
        """
        known = {field.name for field in fields(cls)}
        for name in values:
            _known("setting", name, sorted(known))
        settings: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**settings)

    @classmethod
    def preset(cls, preset: Preset, given: Mapping[str, Any]) -> Config:
        """The settings of a preset for the given data, changed where something else is given.

        >>> Config.preset("demo", {"sigma": 0.5}).sigma
        0.5
        """
        _known("preset", preset, get_args(Preset))
        source = str(given.get("data", "digits")).partition(":")[0]
        _known("data", source, SOURCES)
        return cls(**{**PRESETS[preset, source], **given})


PRESETS: dict[tuple[str, str], dict[str, Any]] = {
    ("demo", "digits"): {},
    ("full", "digits"): {"maps": 10_000, "epochs": 7},
    ("demo", "warcraft"): {"epochs": 4},
    ("full", "warcraft"): {"maps": 10_000, "epochs": 20},
    ("demo", "planning"): {"maps": 4000, "epochs": 5, "test_maps": 500, "validation_maps": 500},
    ("full", "planning"): {"maps": 8000, "epochs": 20, "test_maps": 500, "validation_maps": 500},
}


def _check_type(name: str, value: Any, hint: Any) -> None:
    """Raise unless the value is of the type of its setting (an int will do for a float)."""
    if get_origin(hint) is Literal:
        _known(name, value, get_args(hint))
    elif get_origin(hint) is tuple:
        item = get_args(hint)[0]
        if not isinstance(value, tuple) or not all(type(entry) is item for entry in value):
            raise InputError(f"{name}={value!r} must be a list of {item.__name__}")
    else:
        kinds = get_args(hint) or (hint,)
        if type(value) not in (*kinds, *((int,) if float in kinds else ())):
            wanted = " or ".join("null" if kind is NoneType else kind.__name__ for kind in kinds)
            raise InputError(f"{name}={value!r} must be of type {wanted}")


def _known(what: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise InputError(f"unknown {what} {value!r}: choose from {', '.join(choices)}")
