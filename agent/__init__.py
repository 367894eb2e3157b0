"""Vedette: an edge agent that runs a vision model on local cameras and watches over it."""

__version__ = "0.1.0"
