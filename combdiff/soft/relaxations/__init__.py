"""Relaxations of sorting beside the projection: each works on rows (rows, n) of finite values.

A matrix takes the values that it sorts ascending, 0 where they are masked; ε > 0 as (rows, 1) or (1, 1); and the mask,
True where an entry counts.
"""
