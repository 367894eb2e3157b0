"""Alerts of a running agent: the engine's thread-bound service and what is kept on disk."""
