"""A small sweep over drawn sequences as a command; the small benchmark of the exhibits."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from absl import flags

from experiments.sweep import __main__ as sweep
from hcft_jax.data import otb
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.evaluation.protocols import PROTOCOLS
from tests.experiments.exhibits.conftest import folder, small, write

__all__ = ["folder", "small", "write"]

LABELS = ["tiny", "tiny,gamma=1+0.1", "tiny,eta=0.05"]
TEXT = """
from hcft_jax.core.config import TrackerConfig
from hcft_jax.experiment.settings import Experiment
from hcft_jax.experiment.sweeps import product


def get_sweep():
    tracker = TrackerConfig(layers=("conv2_1", "conv1_2"), gamma=(1.0, 0.5), input_size=32)
    tiny = Experiment("tiny", tracker, weights="random")
    return [*product(tiny, gamma=[(1, 0.5), (1, 0.1)]), *product(tiny, eta=[0.05])]
"""


def draw(folder: Path, *frames: int) -> Path:
    """Sequences synthetic-0, ... of so many frames each, in the OTB layout."""
    for seed, count in enumerate(frames):
        drawn = Synthetic(
            seed=seed, frames=count, height=64, width=80, target=(20, 20), motion=12.0
        )
        otb.write(synthetic(drawn), folder)
    return folder


@dataclass
class Command:
    """The command on some data; ``to`` names a folder of results."""

    folder: Path
    data: Path

    def arguments(self, *more: str, to: str = "out") -> list[str]:
        usual = [f"--sweep={self.folder / 'grid.py'}", f"--data_dir={self.data}"]
        usual.append("--compilation_cache=none")
        return [*usual, f"--output_dir={self.folder / to}", *more]

    def __call__(self, *more: str, to: str = "out") -> int:
        """In this process; the exit status."""
        values = flags.FlagValues()
        sweep.define_flags(values)
        rest = values(["sweep", *self.arguments(*more, to=to)])
        return sweep.main(list(rest), values)

    def start(self, *more: str, to: str = "out") -> "subprocess.Popen[str]":
        """In a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "experiments.sweep", *self.arguments(*more, to=to)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )

    def boxes(self, to: str = "out") -> dict[str, bytes]:
        """Every result file by its path, but not what a killed process has left half written."""
        found = [p for x in PROTOCOLS for p in (self.folder / to).glob(f"*/{x}/**/[!.]*.txt")]
        return {str(p.relative_to(self.folder / to)): p.read_bytes() for p in found}

    def table(self, to: str = "out") -> Any:
        return json.loads((self.folder / to / "grid.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def _weights(random_weights_drawn_once: None) -> None:
    """For all tests here."""


@pytest.fixture
def command(tmp_path: Path) -> Command:
    (tmp_path / "grid.py").write_text(TEXT)
    return Command(tmp_path, draw(tmp_path / "data", 9, 21))
