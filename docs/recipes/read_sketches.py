"""Quantiles of every feature by device and camera, from sketch messages, one a line: python read_sketches.py FILE."""

import base64
import json
import sys
from pathlib import Path

from datasketches import kll_floats_sketch

merged = {}
for message in map(json.loads, Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()):
    for field in (name for name in message if name.endswith("_kll")):
        place = message["device"], message["camera"], field.removesuffix("_kll")
        sketch = kll_floats_sketch.deserialize(base64.b64decode(message[field]))
        merged.setdefault(place, kll_floats_sketch(200)).merge(sketch)
for place, sketch in merged.items():
    print(*place, *(f"{value:.4g}" for value in sketch.get_quantiles([0.1, 0.5, 0.9])))
