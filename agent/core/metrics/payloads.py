"""Every field of every payload: unit, meaning, and when it is sent. `docs/wire.md` and the schemas are made of it.

Numbers that are metrics are taken from the catalogue; the rest stands in `payload_fields`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from agent.core.metrics.camera import CAMERA
from agent.core.metrics.catalogue import merge_of
from agent.core.metrics.definition import Merge, Metric, Sent, unit_of
from agent.core.metrics.delivery import DELIVERY
from agent.core.metrics.drift import DRIFT
from agent.core.metrics.gpu import GPU
from agent.core.metrics.host import HOST
from agent.core.metrics.payload_fields import IDENTITY, OWN, WINDOW, PayloadField

_METRICS: Mapping[str, tuple[Metric, ...]] = {
    "camera": (*CAMERA, *DRIFT),
    "host": (*HOST, *DELIVERY),
    "gpu": GPU,
}
_WITHOUT_WINDOW = frozenset({"status", "info", "accuracy", "advice", "alert", "reply"})
_OBSERVED_ONLY = frozenset({"camera.{state}", "camera.latency_over_ratio"})
_UNPREFIXED = frozenset({"gpu.throttled"})


@lru_cache(maxsize=16)
def fields_of(family: str) -> tuple[PayloadField, ...]:
    """Every field of a family; the first whose pattern matches a name is that name's."""
    window = () if family in _WITHOUT_WINDOW else WINDOW
    return (*IDENTITY, *window, *OWN[family], *_of_metrics(family))


@lru_cache(maxsize=4096)
def field_of(family: str, name: str) -> PayloadField | None:
    """The field `name` of a family; None where it is unknown."""
    return next((one for one in fields_of(family) if one.pattern.fullmatch(name)), None)


def sent_of(family: str, name: str) -> Sent:
    """When a field is sent; one that is unknown, where it changed."""
    found = field_of(family, name)
    return found.sent if found else Sent.CHANGED


@lru_cache(maxsize=4096)
def is_kept_until_sent(family: str, name: str) -> bool:
    """Whether a field that a message leaves out is as it was sent last; else there is none now, or it is 0."""
    return sent_of(family, name) in {Sent.CHANGED, Sent.COMPLETE}


@lru_cache(maxsize=4096)
def is_zero_if_left_out(family: str, name: str) -> bool:
    """Whether a number that a message leaves out is 0: one sent where it is not zero, or a count."""
    sent = sent_of(family, name)
    return sent is Sent.NOT_ZERO or (sent is Sent.ALWAYS and merge_of(name) is Merge.SUM)


def _of_metrics(family: str) -> Iterator[PayloadField]:
    own = {one.name for one in OWN[family]}
    for metric in _METRICS.get(family, ()):
        doc = metric.doc or (metric.export.help if metric.export else "")
        if not metric.name or not doc or metric.name in _OBSERVED_ONLY:
            continue
        name = _payload_name(metric.name)
        if name in own:
            continue
        unit = (metric.alerting.unit if metric.alerting else "") or unit_of(name)[1]
        unit = unit or ("count" if metric.merge is Merge.SUM else "")
        expression = _payload_name(metric.pattern().pattern.replace(r"\.", ".", 1))
        yield PayloadField(name=name, unit=unit, doc=doc, sent=metric.sent, expression=expression)


def _payload_name(name: str) -> str:
    """`drift.ratio` is `drift_ratio` in a payload, `gpu.power_watts` `gpu_power_watts`, `host.load_1m` `load_1m`."""
    entity, _, field = name.partition(".")
    return f"{entity}_{field}" if entity in {"drift", "gpu"} and name not in _UNPREFIXED else field
