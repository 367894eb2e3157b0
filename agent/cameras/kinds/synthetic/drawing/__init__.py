"""Drawn scenes: a street and a warehouse with things moving through them, as images with true boxes."""
