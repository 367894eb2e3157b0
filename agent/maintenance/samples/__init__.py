"""Samples: frames worth labelling, chosen on the box and kept there, and what their labels show."""
