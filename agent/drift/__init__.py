"""Drift: whether what is seen now is what was seen when all was well. Pure.

Groundwork: windows, contexts, evidence and calibration from held-out blocks stand here; the reference's file, the
verdict and the judge of a camera do not yet, and no part of the agent uses this room so far.
"""
