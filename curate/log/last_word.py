"""Finds the latest decision on a question that still counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from curate.log.ancestry import events_seen
from curate.log.conflicts import weigh_sample
from curate.log.decision import CONFLICT, Decision, stated_label, takes_out


def find_last_word(events: Sequence[Decision], decision: Decision) -> Decision | None:
    """Return what was said last, and counts, on the question that ``decision`` would answer; None while it is open.

    Parameters
    ----------
    events
        All lines of the log on its sample, in order.
    """
    weighed = weigh_sample(events)
    if decision.finding == CONFLICT:
        words = [] if weighed.conflicts else _settling(events)
    else:
        words = [one for one in _live(weighed.counting) if _bears_on(one, decision)]
    return words[-1] if words else None


def has_settled(events: Sequence[Decision]) -> bool:
    """Return whether somebody has settled a conflict on the sample, whether or not another is open now."""
    return bool(_settling(events))


def _settling(events: Sequence[Decision]) -> list[Decision]:
    return [one for one in weigh_sample(events).counting if weigh_sample(events_seen(events, one)).conflicts]


def _live(decisions: Iterable[Decision]) -> list[Decision]:
    """Return ``decisions`` without the drops and merges that a later one took back: their question is open again."""
    live: list[Decision] = []
    for one in decisions:
        live = [*(live if takes_out(one) else [earlier for earlier in live if not takes_out(earlier)]), one]
    return live


def _bears_on(earlier: Decision, later: Decision) -> bool:
    """Return whether ``earlier`` answers a question that ``later`` answers too; dropping a sample answers all."""
    is_same_finding = earlier.finding != "" and earlier.finding == later.finding
    return takes_out(earlier) or is_same_finding or (stated_label(earlier) != "" and stated_label(later) != "")
