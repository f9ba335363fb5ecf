import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import hcft_jax
from hcft_jax.experiment import sweeps

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder)]
    # a copy: building in the checkout would leave its build folder there
    source = folder / "source"
    tracked = ("hcft_jax", "configs", "experiments", "setup.py", "pyproject.toml", "README.md")
    source.mkdir()
    for name in (*tracked, "LICENSE"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(source)], check=True)
    subprocess.run([sys.executable, "-m", "pip", "wheel", str(source), *build], check=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_carries_configurations_and_experiments(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"hcft_jax/configs/__init__.py", "hcft_jax/configs/named.py"} <= names
    assert {f"hcft_jax/configs/sweeps/{name}.py" for name in sweeps.available()} <= names
    assert "hcft_jax/experiments/compare/__main__.py" in names
    assert not any(name.startswith(("tests", "configs", "experiments")) for name in names)


def test_the_wheel_carries_the_reports_parts(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    parts = ROOT / "hcft_jax" / "evaluation" / "report"
    needed = [p.name for p in parts.iterdir() if p.suffix in (".html", ".css", ".js")]
    assert "template.html" in needed
    assert {f"hcft_jax/evaluation/report/{name}" for name in needed} <= names


def test_the_wheel_says_that_it_is_typed(wheel: Path) -> None:
    assert "hcft_jax/py.typed" in zipfile.ZipFile(wheel).namelist()


def test_an_installed_wheel_runs_from_any_directory(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    command = ["-m", "hcft_jax.main", "--config=demo", "--weights=random"]
    quick = ["--layers=conv1_2", "--gamma=1", "--input_size=32"]
    done = subprocess.run(
        [sys.executable, *command, *quick],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (summary,) = tmp_path.glob("demo/demo,*/summary.json")
    assert hcft_jax.__version__ in summary.read_text()


def test_a_checkout_finds_its_own_configurations_without_an_installation(tmp_path: Path) -> None:
    for name in ("hcft_jax", "configs", "experiments", "pyproject.toml"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(tmp_path)], check=True)
    code = "import hcft_jax.configs.named as n, hcft_jax.experiments.sweep as s; "
    done = subprocess.run(
        [sys.executable, "-c", code + "print(n.__file__); print(s.__file__)"],
        cwd=tmp_path.parent,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [Path(line).is_relative_to(tmp_path) for line in done.stdout.split()] == [True, True]
