"""decide: writes decisions from the policy, an issue's suggestions, one sample, or a file of answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.commands.arguments import Json, NoDeps, dataset_maybe
from curate.commands.show import counted, print_json, print_table, say, warn
from curate.storage.files import Problem

if TYPE_CHECKING:
    from curate.decide.answers import Applied
    from curate.log.decision import Decision

Words = Annotated[list[str] | None, typer.Argument(metavar="[DATASET] [SAMPLE ACTION [LABEL]]", show_default=False)]
Accept = Annotated[str, typer.Option(metavar="ISSUE", help="Accept the suggestions of this issue.")]
MaxScore = Annotated[float, typer.Option(min=0, max=1, help="With --accept: only up to this score.")]
Reason = Annotated[str, typer.Option(help="Why, for the log.")]
Answers = Annotated[
    Path | None, typer.Option("--from", metavar="FILE", help="Apply the answers of `curate review --html`.")
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="With --from: apply what can stand although other lines cannot.")
]


def decide(
    words: Words = None,
    accept: Accept = "",
    max_score: MaxScore = 1.0,
    reason: Reason = "",
    answers: Answers = None,
    skip_bad: SkipBad = False,
    no_deps: NoDeps = False,
    json: Json = False,
) -> None:
    """Apply the spec's policy; or accept an issue's suggestions; or decide one sample; or apply a page's answers.

    SAMPLE is an id, 6 or more of its digits, or a path. ACTION is keep, relabel, drop, merge or undrop; relabel takes a
    class, merge the sample that stays.
    """
    dataset, rest = dataset_maybe(words or [], no_deps)
    if bool(accept) + bool(rest) + bool(answers) > 1:
        raise Problem("Expected one of --accept ISSUE, --from FILE or a sample, found several.")
    if answers:
        _print_applied(dataset.apply_answers(answers, skip_bad), dataset.path, json)
        return
    if skip_bad:
        raise Problem("--skip-bad belongs to --from FILE, and none is named.")
    if len(rest) not in (0, 2, 3):
        raise Problem(f"Expected [DATASET] SAMPLE ACTION [LABEL], found {' '.join(rest)!r}.")
    print_decisions(dataset.decide(*rest, accept=accept, max_score=max_score, reason=reason), json)


def print_decisions(
    made: list[Decision], json: bool, nothing: str = "Nothing to decide: no open finding that this applies to."
) -> None:
    """Write the decisions just made, counted by issue and action."""
    from collections import Counter

    if json:
        print_json({"decisions": [one.model_dump() for one in made]})
        return
    counts = Counter((one.finding or "by hand", one.action) for one in made)
    rows = [{"issue": issue, "action": action, "decisions": count} for (issue, action), count in sorted(counts.items())]
    if rows:
        print_table(rows, "Decided")
    else:
        say(nothing)


def _print_applied(applied: Applied, dataset: Path, json: bool) -> None:
    """Write what became of a file of answers."""
    from dataclasses import asdict

    from curate.exchange.check import describe_faults
    from curate.log.decision import CONFLICT

    if json:
        decisions = [one.model_dump() for one in applied.decisions]
        print_json({**asdict(applied), "decisions": decisions})
        return
    if applied.decisions:
        print_decisions(applied.decisions, json)
    counts = {"are in the log already": applied.known, "were answered alike by somebody else": applied.agreed}
    said = [f"{count:,} {what}" for what, count in counts.items() if count]
    say(f"{counted(len(applied.decisions), 'new decision')}" + "".join(f"; {one}" for one in said) + ".")
    if applied.contested:
        contradict = "contradicts" if applied.contested == 1 else "contradict"
        say(
            f"{applied.contested:,} of them {contradict} what somebody else said meanwhile: noted, but not counted "
            f"until somebody decides. Look at `curate findings {dataset} --issue {CONFLICT}`."
        )
    if applied.faults:
        warn(f"{counted(len(applied.faults), 'line')} passed over:\n{describe_faults(applied.faults)}")
