"""Maintenance: whether another model is better than the one in use, by labelled images."""
