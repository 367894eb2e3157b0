"""Gathers the model's results into windows."""
