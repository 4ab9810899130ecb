"""Relaxations of sorting beside the projection: each works on rows (rows, n) of finite values."""
