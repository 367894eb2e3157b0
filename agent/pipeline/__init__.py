"""From results to windows: what becomes of a frame once the model has run on it."""
