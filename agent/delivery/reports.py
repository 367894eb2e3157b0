"""Reports: windows as they are published. Those of a topic are merged as the plan says, then thinned.

Nothing is held back from the rules: they judge each window before it comes here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from agent.config.report_plan import ReportPlan
from agent.core.kll import Sketch
from agent.core.stages import TOTAL
from agent.core.types import Draft
from agent.core.windows import follows
from agent.delivery.outbox.compaction import merge_bodies, merge_sketches
from agent.delivery.outbox.rows import window_of
from agent.delivery.thinning import Thinner

_NEWS = ("state", "gpu_state")
"""Fields whose change is not kept waiting for the other windows of a report; beside them a drift alarm. Whether a
window could be judged is none: at an hour that the reference does not know it changes from minute to minute."""

_ITEMS, _TOTAL_ITEMS = 24, 64
"""Values that a hidden sketch keeps on disk, of a stage and of the whole way: merged hours keep ranks within 1 %."""


@dataclass(slots=True)
class _Topic:
    thinner: Thinner
    gathered: list[Draft] = field(default_factory=list)
    news: tuple[object, ...] = ()


class Reports:
    """Takes the draft of each window, whole, and hands on what is to be published. Belongs to one thread."""

    def __init__(self, plan: ReportPlan, publish: Callable[[Draft], None]) -> None:
        self._plan, self._publish = plan, publish
        self._topics: dict[str, _Topic] = {}

    def add(self, draft: Draft) -> None:
        """A window has closed."""
        topic = self._topics.get(draft.topic) or self._open(draft)
        if topic.gathered and not self._follows(topic.gathered[-1], draft):
            self._report(topic)
        topic.gathered.append(draft)
        news = (*map(draft.body.get, _NEWS), draft.body.get("drift_state") == "drift")
        if news != topic.news or len(topic.gathered) >= self._plan.windows or self._is_opening(topic):
            topic.news = news
            self._report(topic)

    def end(self, topic: str) -> None:
        """No window of `topic` follows: publish what is gathered, and keep nothing of it."""
        ended = self._topics.pop(topic, None)
        if ended is not None:
            self._report(ended)

    def flush(self) -> None:
        """Publish what is gathered of all topics."""
        for topic in self._topics.values():
            self._report(topic)

    def _open(self, draft: Draft) -> _Topic:
        """Complete messages of several topics are spread, the first of all after the opening window."""
        every = self._plan.complete_every
        first = 1 + len(self._topics) % every if every > 1 else 0
        topic = self._topics[draft.topic] = _Topic(Thinner(draft.family, every=every, first=first))
        return topic

    def _follows(self, last: Draft, draft: Draft) -> bool:
        """Whether a window belongs to the one before: the clock may have been set between them."""
        (start, length), (following, _) = window_of(last, 0.0), window_of(draft, 0.0)
        return follows(start + length, following, self._plan.summary_seconds)

    def _is_opening(self, topic: _Topic) -> bool:
        """A short window by itself: people wait for it."""
        return (
            len(topic.gathered) == 1 and window_of(topic.gathered[0], 0.0)[1] < self._plan.window_seconds / 2
        )

    def _report(self, topic: _Topic) -> None:
        if not topic.gathered:
            return
        whole = merged(topic.gathered)
        share = 1.0 if self._is_opening(topic) else len(topic.gathered) / self._plan.windows
        topic.gathered = []
        thinned = topic.thinner.thin(whole.body, share)
        self._publish(
            replace(whole, body=thinned.body, held=thinned.held, sketches=_compacted(whole.sketches))
        )


def merged(windows: list[Draft]) -> Draft:
    """One draft for all `windows` of a topic, oldest first; counts add, quantiles come from the merged sketches."""
    last = windows[-1]
    if len(windows) == 1:
        return last
    sketches = merge_sketches([window.sketches for window in windows])
    seconds = [window_of(window, 0.0)[1] for window in windows]
    body = merge_bodies([dict(window.body) for window in windows], seconds, sketches)
    del body["merged"]  # that is for messages which had numbers of their own
    return replace(last, body=body, sketches={stem: sketch.to_bytes() for stem, sketch in sketches.items()})


def _compacted(sketches: Mapping[str, bytes]) -> dict[str, bytes]:
    return {
        stem: Sketch.from_bytes(blob).compact(_TOTAL_ITEMS if stem == TOTAL else _ITEMS).to_bytes()
        for stem, blob in sketches.items()
    }
