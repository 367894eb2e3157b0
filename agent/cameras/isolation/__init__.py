"""Cameras read in a process of their own, and when that is called for."""
