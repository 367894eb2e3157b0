"""Drawn scenes: a street and a warehouse with things moving through them, as pictures with true boxes."""
