"""The floor plan: layers that only look down, one name for one thing, rooms that load little."""

import ast
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = ("hcft_jax", "experiments", "configs")
FILES = sorted(path for place in PLACES for path in (ROOT / place).rglob("*.py"))
TREES = {path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
MODULES = {".".join(path.with_suffix("").parts) for path in TREES}
MODULES |= {name.removesuffix(".__init__") for name in MODULES}


def twice(names: Iterator[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def imported(path: Path, tree: ast.Module) -> Iterator[tuple[str, ast.alias]]:
    """Every name that a file imports from this project, with the full name of its module."""
    package = path.parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            if module.split(".")[0] in PLACES:
                yield from ((module, alias) for alias in node.names)


def test_no_class_name_stands_for_two_things() -> None:
    classes = (
        node.name
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    )
    assert twice(classes) == []


def test_no_file_name_stands_for_two_things() -> None:
    assert twice(path.stem for path in TREES if not path.stem.startswith("__")) == []


def test_no_import_gives_a_module_another_name() -> None:
    renamed = [
        f"{path}: {alias.name} as {alias.asname}"
        for path, tree in TREES.items()
        for module, alias in imported(path, tree)
        if alias.asname not in (None, alias.name) and f"{module}.{alias.name}" in MODULES
    ]
    assert renamed == []


def test_no_module_uses_what_is_private_to_another() -> None:
    used = []
    for path, tree in TREES.items():
        names = list(imported(path, tree))
        modules = {alias.name for module, alias in names if f"{module}.{alias.name}" in MODULES}
        used += [f"{path}: {alias.name}" for _, alias in names if re.match("_[^_]", alias.name)]
        used += [
            f"{path}: {node.value.id}.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in modules
            and re.match("_[^_]", node.attr)
        ]
    assert used == []


def test_every_room_says_what_it_is_for() -> None:
    rooms = [path for path in TREES if path.name == "__init__.py"]
    unsaid = [path for path in rooms if not ast.get_docstring(TREES[path])]
    assert len(rooms) > 15
    assert unsaid == []


def loaded(*modules: str) -> set[str]:
    """Return what Python has loaded after importing some modules."""
    code = "".join(f"import {name}\n" for name in ("sys", *modules)) + "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {"cv2", "PIL", "simplejpeg", "av", "matplotlib", "tqdm", "absl", "h5py", "scipy.io"}


def test_the_method_loads_no_picture_no_video_and_no_flags() -> None:
    assert not loaded("hcft_jax.core") & HEAVY
    core = sorted(name for name in MODULES if name.startswith("hcft_jax.core"))
    found = loaded(*core)
    assert "hcft_jax.core.tracker" in found
    assert found & HEAVY == loaded("jax", "flax.linen") & HEAVY  # Flax logs by absl


def test_the_public_names_load_when_they_are_used() -> None:
    found = loaded("hcft_jax")
    assert not {"jax", "numpy", *HEAVY} & found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the sources that may be changed."""
    copy = tmp_path_factory.mktemp("house")
    for place in PLACES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / place, copy / place, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def broken(house: Path) -> list[str]:
    """Return the contracts that are broken."""
    check = "from importlinter.cli import lint_imports_command as check; check(['--no-cache'])"
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=house, capture_output=True, text=True, check=False
    )
    assert "Contracts:" in done.stdout, done.stderr
    return [row for row in done.stdout.splitlines() if row.endswith("BROKEN")]


def test_the_contracts_hold(house: Path) -> None:
    assert broken(house) == []


@pytest.mark.parametrize(
    ("room", "line", "contract"),
    [
        ("hcft_jax/core/filters.py", "import hcft_jax.run.lanes", "Layers only look down"),
        ("hcft_jax/visual/film.py", "import hcft_jax.run.lanes", "Layers only look down"),
        ("hcft_jax/main.py", "import experiments.sweep", "The library never imports experiments"),
        ("hcft_jax/evaluation/metrics.py", "import jax", "Evaluation never reaches JAX"),
        ("hcft_jax/backbones/vgg.py", "import matplotlib", "The method reaches no file format"),
        ("hcft_jax/core/search.py", "import hcft_jax.data.otb", "The method imports no other room"),
    ],
)
def test_a_contract_breaks_where_an_import_points_up(
    house: Path, room: str, line: str, contract: str
) -> None:
    path = house / room
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n{line}\n", encoding="utf-8")
    try:
        assert any(row.startswith(contract) for row in broken(house))
    finally:
        path.write_text(text, encoding="utf-8")
