"""Samples of a perturbed layer: one set of solves used again, and points of scrambled Sobol sequences."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from combdiff.oracle import Answer, Costs
from combdiff.temperature import positive

if TYPE_CHECKING:
    from combdiff.layers.perturbed import Perturbed

BITS = 30  # of a coordinate of torch's sequences


class Draws:
    """The solutions y_m at c + σ Z_m of one call, weighed for a θ' and σ' nearby: `Perturbed.draw` makes it.

    With Z'_m = (c + σ Z_m − c') / σ' and weights w_m ∝ exp(Σ ν(Z_m) − ν(Z'_m)), which sum to 1,

        E[y] at (c', σ') ≈ Σ_m w_m y_m

    differentiable any number of times by θ'. It is a ratio of means, with a bias of the order of 1/M.

    The effective sample size 1/Σ w_m² of each row says how many of the M samples are left; the least is kept in
    `layer.stats.effective`, and one below M/2 is refused. It falls exponentially with the number of entries: under
    Gaussian noise at σ' = 0.8 σ, E[w²]/E[w]² is 16 for 40 entries and 22,000 for 144. So it serves problems with few
    entries, or small steps.

    >>> import combdiff, combdiff.solvers
    >>> _ = torch.manual_seed(0)
    >>> layer = combdiff.Perturbed(combdiff.solvers.TopK(3), sigma=1.0, samples=20_000, noise="gumbel")
    >>> draws = layer.draw(torch.tensor([1.0, 2.0, 3.0]))
    >>> other = torch.tensor([1.2, 2.0, 2.9])
    >>> y = draws.mean(other, sigma=1.1)  # no solve
    >>> bool((y - torch.softmax(other / 1.1, 0)).abs().max() < 0.02), layer.stats.solves
    (True, 20000)
    """

    def __init__(
        self, layer: Perturbed, costs: Costs, sigma: float, noise: Float[Tensor, "m b n"], answer: Answer
    ) -> None:
        self.layer, self.sigma, self.noise = layer, sigma, noise
        self.points, self.y, self.failed = costs + sigma * noise, answer.y, answer.report.failed

    def mean(self, theta: Float[Tensor, "*dims"], sigma: float | None = None) -> Float[Tensor, "*dims"]:
        """E[y] at another θ, of as many rows, and another σ; NaN in rows without a solution.

        Raises:
            ValueError: for another number of rows, or an effective sample size below M/2 in a row.
        """
        layer = self.layer
        sigma = self.sigma if sigma is None else positive("sigma", sigma)
        costs = layer.oracle.costs(theta)
        if costs.shape != self.points.shape[1:]:
            raise ValueError(f"theta has {len(costs)} rows, but {self.points.shape[1]} were drawn")
        energy = layer.noise.energy
        log = (energy(self.noise) - energy((self.points - costs) / sigma)).sum(-1)
        weights = torch.softmax(log, 0)  # shape: (m, b)
        effective = 1.0 / weights.detach().square().sum(0)
        least = float(effective.min()) if effective.numel() else math.nan
        layer.stats.effective = least
        if least < 0.5 * len(weights):
            raise ValueError(
                f"of {len(weights)} samples {least:.3g} are left in row {int(effective.argmin())} at this theta and "
                f"sigma={sigma:g}, less than half: draw again (the more entries, the nearer they have to be)"
            )
        y = (weights.unsqueeze(-1) * self.y).sum(0)
        if self.failed is not None:
            y = y.masked_fill(self.failed.to(y.device).unsqueeze(-1), torch.nan)
        return y.reshape(theta.shape).to(theta.dtype)


@cache
def _net(points: int, entries: int) -> Tensor:
    """The first points of a Sobol sequence, as whole numbers of BITS bits."""
    drawn = torch.quasirandom.SobolEngine(entries).draw(points, dtype=torch.float64)  # type: ignore[no-untyped-call]
    return (drawn * 2.0**BITS).long()


def sobol(
    shape: tuple[int, int, int, int], device: torch.device, generator: Generator | None
) -> Float[Tensor, "r q b n"]:
    """Uniform samples of (scrambles, points, rows, entries), inside (0, 1), in float64.

    Each scramble of each row is the same Sobol sequence under an independent random digital shift (a XOR of all its
    points), which makes each point uniform and keeps how evenly they lie.

    >>> points = sobol((1, 8, 2, 3), torch.device("cpu"), None)
    >>> (points * 8).long().sort(1).values[0, :, 0, 0].tolist()  # one in each eighth
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    scrambles, points, rows, entries = shape
    if entries > torch.quasirandom.SobolEngine.MAXDIM:
        most = torch.quasirandom.SobolEngine.MAXDIM
        raise ValueError(f"a row has {entries} entries, but a Sobol sequence at most {most}: leave out scrambles")
    where = device if generator is None else generator.device
    shift = torch.randint(2**BITS, (scrambles, 1, rows, entries), generator=generator, device=where).to(device)
    return ((_net(points, entries).to(device)[:, None] ^ shift).double() + 0.5) / 2.0**BITS
