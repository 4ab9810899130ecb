"""The traveling salesman: branch and bound, and a heuristic."""
