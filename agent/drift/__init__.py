"""Drift: compares what is observed now with a reference of when all was well. Pure.

    window sketches (sketch) ─▶ recording ─▶ reference: contexts by hour, calibration from held-out blocks, limits
    window sketch ─▶ judge: evidence against the context ─▶ fading memories ─▶ scores ─▶ DriftVerdict, alarm

`docs/drift-method.md` says how and why; `storage` makes text of references and recordings; `statistics` holds the
distances, one file each.
"""
