"""Shortest paths over images: learn the cost of every tile from nothing but the paths."""
