"""Temperatures: how smooth a layer is, fixed or by a schedule.

Every smoothing method has one temperature (σ, λ, ε, ...) as an attribute: a positive float, or a schedule whose
`step()` is called where the learning rate's is, or `"auto"`, which measures on the first batch.

    Constant, Linear, Geometric, Cosine     from a start to an end in a number of steps
    OnPlateau                               lower where a metric stops getting better
    Adaptive                                brings a quantity that the layer measures to a target
    Auto                                    what `combdiff.diagnostics.advise` says of the first batch

>>> import combdiff, combdiff.solvers
>>> sigma = Geometric(1.0, 0.1, steps=2)
>>> layer = combdiff.Perturbed(combdiff.solvers.TopK(3), sigma=sigma)
>>> sigma.step()
>>> round(float(layer.sigma), 3)
0.316
"""

from combdiff.temperature.adaptive import Adaptive
from combdiff.temperature.attribute import Temperature
from combdiff.temperature.auto import Auto
from combdiff.temperature.on_plateau import OnPlateau
from combdiff.temperature.ramps import Cosine, Geometric, Linear, Ramp
from combdiff.temperature.schedule import Constant, Schedule, positive

__all__ = [
    "Adaptive",
    "Auto",
    "Constant",
    "Cosine",
    "Geometric",
    "Linear",
    "OnPlateau",
    "Ramp",
    "Schedule",
    "Temperature",
    "positive",
]
