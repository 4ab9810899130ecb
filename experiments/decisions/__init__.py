"""Predict, then optimise: costs that are predicted for a decision."""
