"""SATNet: a layer of learned clauses."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from combdiff import _bridge
from combdiff.autograd import not_compiled
from combdiff.needs import Needs
from combdiff.satnet.mixing import mixed

Probabilities = Float[Tensor, "b n"]


class SatNet(nn.Module):
    """Completes truth values so that they agree with clauses that are learned: a relaxed weighted MAXSAT solver.

    The n variables, a variable that is true and `aux` hidden ones have unit vectors v_i in Rᵏ. The layer minimises

        ‖Vᵀ S‖²  =  Σ_ij ⟨s_i, s_j⟩ ⟨v_i, v_j⟩

    over the vectors of what is not given (a semidefinite relaxation, in its low-rank form) by coordinate steps
    v_i = −g_i/‖g_i‖, g_i = Σ_{j≠i} ⟨s_i, s_j⟩ v_j. The vector of a given z_i is −cos(π z_i) v_0 + sin(π z_i) r_i, with
    the vector v_0 of truth and an r_i across it; the answer is arccos(−⟨v_i, v_0⟩)/π, the chance that a random plane
    does not separate v_i and v_0. The gradient is that of the fixed point, found by the same steps. Both stop after
    `max_iter` sweeps over the variables, so that vectors, and the gradient, may be some way from where they go.

    The descent begins at vectors drawn when the layer is made, the same for every example, so that an answer depends
    on its example alone (to the rounding of torch's own sines).

    On CPUs a compiled kernel solves the examples on `torch.get_num_threads()` threads; its time goes with k times the
    square of the variables that are not given, not with m. Other devices run plain operations, a launch for each step.

    Args:
        n: variables.
        m: clauses; the rank of S.
        aux: hidden variables.
        k: dimension of the vectors; above √(2 (n + aux + 1)) the low-rank problem has no local minimum but in rare
            cases. The default is the next multiple of eight.
        max_iter: most sweeps.
        eps: the sweep that gains less than this share of the gain of the first one is the last.
        prox: raises the diagonal of the gradient's system, which is nearly singular where vectors are hardly held; 0
            for the exact derivative.

    Shape:
        z: (b, n), float32 or float64 like S: probabilities of what is given; what is not may hold anything in [0, 1].
        given: (b, n), bool.
        returns: (b, n), z where it is given, and probabilities in [0, 1].

    Attributes:
        clauses: S, (1 + n + aux, m), the parameter; row 0 is that of truth.

    Raises:
        ValueError: for shapes that differ, for z outside of [0, 1], and for clauses that are not finite.
        TypeError: for another dtype of z or given, and inside transforms (`torch.func`).

    Source: Wang, Donti, Wilder & Kolter (2019), "SATNet: bridging deep learning and logical reasoning using a
    differentiable satisfiability solver".
    Not for: rules that are known (`Sudoku`, or any SAT solver as a layer, is exact), and second derivatives (refused).

    Two variables that must differ: S has one clause in which they have the same sign.

    >>> layer = SatNet(2, m=1)
    >>> layer.clauses.data = torch.tensor([[0.0], [1.0], [1.0]])
    >>> layer(torch.tensor([[1.0, 0.5], [0.0, 0.5]]), torch.tensor([[True, False]] * 2)).round(decimals=3).detach()
    tensor([[1., 0.],
            [0., 1.]])
    """

    start: Tensor

    needs = Needs(
        forward="0",
        no_potential="it has no solver",
        bias="none at the fixed point, which the sweeps come near",
        scale="nothing to set: probabilities",
        use="rules that are not known: it learns its own clauses",
    )

    def __init__(
        self,
        n: int,
        m: int,
        aux: int = 0,
        k: int | None = None,
        max_iter: int = 40,
        eps: float = 1e-4,
        prox: float = 1e-2,
    ) -> None:
        super().__init__()
        rows = 1 + n + aux
        k = 8 * (math.isqrt(2 * rows) // 8 + 1) if k is None else k
        for name, value, least in (("n", n, 1), ("m", m, 1), ("aux", aux, 0), ("k", k, 2), ("max_iter", max_iter, 1)):
            if value < least:
                raise ValueError(f"{name}={value} must be at least {least}")
        for name, number in (("eps", eps), ("prox", prox)):
            if not 0.0 <= number < math.inf:
                raise ValueError(f"{name}={number} must be a finite number, at least 0")
        self.n, self.aux, self.max_iter, self.eps, self.prox = n, aux, max_iter, float(eps), float(prox)
        self.clauses = nn.Parameter(torch.randn(rows, m) * math.sqrt(0.5 / (rows + m)))
        start = nn.functional.normalize(torch.randn(rows, k), dim=1)
        start[0] = torch.eye(k)[0]
        self.register_buffer("start", start)

    @not_compiled
    def forward(self, z: Probabilities, given: Bool[Tensor, "b n"]) -> Probabilities:
        self._check(z, given)
        start = self.start.expand(len(z), -1, -1)
        across = nn.functional.normalize(self.start[1 : self.n + 1, 1:], dim=1)
        angle = math.pi * z[..., None]
        fixed = torch.cat([-torch.cos(angle), torch.sin(angle) * across], dim=2)
        shown = torch.where(given[..., None], fixed, start[:, 1 : self.n + 1])
        start = torch.cat([start[:, :1], shown, start[:, self.n + 1 :]], dim=1)
        free = torch.ones(start.shape[:2], dtype=torch.bool, device=z.device)
        free[:, 0] = False
        free[:, 1 : self.n + 1] = ~given
        gram = self.clauses @ self.clauses.T
        vectors = mixed(gram, start, free, self.max_iter, self.eps, self.prox)[:, 1 : self.n + 1]
        # arccos(−v) loses half of the digits near 0 and 1, and has no derivative there
        found = torch.atan2(vectors[..., 1:].norm(dim=2), -vectors[..., 0]) / math.pi
        return torch.where(given, z, found)

    def _check(self, z: Tensor, given: Tensor) -> None:
        if z.ndim != 2 or z.shape[1] != self.n:
            raise ValueError(f"z has shape {tuple(z.shape)}, but (batch, {self.n}) is expected")
        if given.shape != z.shape:
            raise ValueError(f"given has shape {tuple(given.shape)}, but that of z is expected, {tuple(z.shape)}")
        if given.dtype is not torch.bool:
            raise TypeError(f"given has dtype {given.dtype}: torch.bool is expected (given.bool())")
        if z.dtype is not self.clauses.dtype or z.dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"z has dtype {z.dtype} and the layer {self.clauses.dtype}: both float32 or both float64 are expected"
            )
        for name, values in (("clauses", self.clauses), ("z", z)):
            wrong = _bridge.not_finite(values)
            if name == "z" and wrong is None:
                wrong = (z.detach() < 0) | (z.detach() > 1)
            if wrong is not None and bool(wrong.any()):
                row, column = torch.nonzero(wrong)[0].tolist()
                expected = "probabilities in [0, 1] are" if name == "z" else "a finite number is"
                raise ValueError(f"{name}[{row}, {column}] is {values[row, column].item()}: {expected} expected")

    def extra_repr(self) -> str:
        m, k = self.clauses.shape[1], self.start.shape[1]
        return (
            f"n={self.n}, m={m}, aux={self.aux}, k={k}, max_iter={self.max_iter}, eps={self.eps:g}, prox={self.prox:g}"
        )
