"""The one catalogue of metrics: a new metric is one entry in the file of its entity.

Rules, Prometheus, `docs/metrics.md` and the merging of windows read it.
"""
