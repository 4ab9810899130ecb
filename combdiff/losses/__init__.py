"""Losses: one a file."""

from combdiff.losses.fenchel_young import FenchelYoungLoss

__all__ = ["FenchelYoungLoss"]
