"""The values that flow between rooms, and what every room uses."""
