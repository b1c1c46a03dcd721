"""The `curate` command: the list of its commands, and how it reports a failure."""

from __future__ import annotations

import errno
import os
import sys

import typer

from curate import __version__
from curate.commands import (
    annotators,
    audit,
    decide,
    detectors,
    label,
    modelling,
    review,
    similar,
    versions,
    votes,
    whole,
)
from curate.commands.show import warn
from curate.storage.files import Problem

app = typer.Typer(
    help="The dataset is the specification: check it, decide, build versions, train, and compare what changed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
WHOLE = "The whole job"
STAGES = "Stage by stage"
MODELS = "Models"


@app.callback(invoke_without_command=True)
def _options(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    if version:
        typer.echo(f"specurate {__version__}")
        raise typer.Exit


for panel, commands in {
    WHOLE: (whole.demo, whole.init, whole.run, review.review, whole.report, whole.doctor),
    STAGES: (
        audit.scan,
        audit.audit,
        audit.findings,
        similar.similar,
        audit.patterns,
        votes.votes,
        annotators.annotators,
        detectors.detectors,
        decide.decide,
        label.label,
        label.slices,
        versions.build,
        versions.split,
        versions.check,
        versions.export,
        whole.schema,
    ),
    MODELS: (modelling.train, modelling.evaluate, modelling.compare, modelling.predict),
}.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)


def main() -> None:
    """Run the command line: 0 done, 1 a check failed, 2 wrong usage or input, 130 interrupted.

    A reader of the output who leaves early, as in `curate findings | head`, is no failure.
    """
    code: object = 0
    try:
        code = _outcome()
        sys.stdout.flush()  # here: a flush at the interpreter's exit would complain of a closed pipe
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):  # what they still hold goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)  # type: ignore[arg-type]


def _outcome() -> object:
    """Run the command, tell what stopped it, and return the exit code."""
    try:
        app()
    except Problem as problem:
        return _stopped(str(problem), 2)
    except KeyboardInterrupt:
        return _stopped(INTERRUPTED, 130)
    except SystemExit as ended:  # typer ends with it, and makes it of Ctrl-C and of a closed pipe, without a word
        if isinstance(ended.__context__, BrokenPipeError):
            raise ended.__context__ from None
        return _stopped(INTERRUPTED, 130) if ended.code == 130 else ended.code
    except OSError as error:
        if error.errno not in SENTENCES:
            raise
        return _stopped(f"{error.filename or 'A file'}: {SENTENCES[error.errno]}", 2)
    return 0


INTERRUPTED = "Interrupted. What was finished is kept: the same command continues from there."
SENTENCES = {
    errno.ENOSPC: "the disk is full. Nothing that was there is lost; free some space and run the same command again.",
    errno.EDQUOT: "the disk quota is used up. Nothing that was there is lost; free some space and run it again.",
    errno.EACCES: "permission denied. Change its permissions, or use a dataset folder that you may write to.",
    errno.EPERM: "not permitted. Use a dataset folder that you may write to.",
    errno.EROFS: "the file system is read-only. Use a dataset folder that you may write to.",
}


def _stopped(sentence: str, code: int) -> int:
    warn(sentence)
    return code


if __name__ == "__main__":
    main()
