"""How the gradient of a method behaves on a batch: which temperature to take, and what is wrong.

advise               a temperature and a number of samples, measured on a batch
audit                the usual troubles of a training set-up
audit_estimator      a user's own perturbed estimator against the reference: a missing 1/σ, a wrong sign, ...
exact_moments        mean and variance of a perturbed gradient over one-hot vectors, by quadrature
gradient_moments     the same of any layer, by sampling, with standard errors
"""

from combdiff.diagnostics.advice import Advice, Rung
from combdiff.diagnostics.advise import advise
from combdiff.diagnostics.audit import Finding, audit
from combdiff.diagnostics.estimator import audit_estimator
from combdiff.diagnostics.moments import Moments, exact_moments, gradient_moments

__all__ = [
    "Advice",
    "Finding",
    "Moments",
    "Rung",
    "advise",
    "audit",
    "audit_estimator",
    "exact_moments",
    "gradient_moments",
]
