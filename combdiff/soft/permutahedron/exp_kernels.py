"""exp of an array of non-positive float64, written so that the compiler makes vector instructions of it.

`np.exp` inside a compiled loop is a scalar call per entry; this is about five times faster and as accurate (the
error is below two units in the last place, tested against NumPy).
"""

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel

FEW = 8  # a vector
LOWEST = -700.0  # exp below this is not told from exp(-700) ~ 1e-304

_LOG2E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # from fdlibm's e_exp.c


@kernel(counted=False, error_model="numpy", fastmath={"contract"})  # multiply and add in one
def exp_inplace(u: Array, first: int, last: int, powers: Array) -> None:
    """u[first:last] = exp(u[first:last]), for LOWEST <= u <= 0; entries below LOWEST count as LOWEST.

    Args:
        u: float64.
        powers: int64 scratch, at least as long as u.
    """
    if last - first < FEW:
        for i in range(first, last):
            u[i] = np.exp(max(u[i], LOWEST))
    else:
        twos = powers.view(np.float64)
        for i in range(first, last):
            v = max(u[i], LOWEST)
            k = np.floor(v * _LOG2E + 0.5)
            r = (v - k * _LN2_HIGH) - k * _LN2_LOW
            powers[i] = (np.int64(k) + 1023) << 52  # the bits of 2**k
            p = 1.0 / 6227020800.0
            p = p * r + 1.0 / 479001600.0
            p = p * r + 1.0 / 39916800.0
            p = p * r + 1.0 / 3628800.0
            p = p * r + 1.0 / 362880.0
            p = p * r + 1.0 / 40320.0
            p = p * r + 1.0 / 5040.0
            p = p * r + 1.0 / 720.0
            p = p * r + 1.0 / 120.0
            p = p * r + 1.0 / 24.0
            p = p * r + 1.0 / 6.0
            p = p * r + 0.5
            p = p * r + 1.0
            u[i] = p * r + 1.0
        for i in range(first, last):
            u[i] *= twos[i]
