"""Drift: whether what is seen now is what was seen when all was well. Pure.

    window sketches (sketch) ─▶ recording ─▶ reference: contexts by hour, calibration from held-out blocks, limits
    window sketch ─▶ judge: evidence against the context ─▶ fading memories ─▶ scores ─▶ DriftVerdict, alarm

`docs/drift-method.md` says how and why; `storage` makes text of references and recordings; `statistics` holds the
distances, one file each.
"""
