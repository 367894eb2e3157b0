"""Benchmarks of the cameras: false and true states, networks, isolation, reloads, dead cameras, damaged files."""
