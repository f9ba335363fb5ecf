"""The parts of this program's result folders that exhibits read."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcft_jax.evaluation.annotations import Benchmark
from hcft_jax.util.boxes import Boxes
from tests.evaluation.conftest import folder, small

__all__ = ["folder", "small"]

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a result folder."""

    def write(
        name: str,
        boxes: Mapping[str, Boxes],
        speed: tuple[int, float] = (10, 5.0),
        weights: str = "w",
        **settings: Any,
    ) -> Path:
        place = tmp_path / "results" / name
        tracker = {
            "layers": ["conv5_4", "conv4_4", "conv3_4"],
            "gamma": [1.0, 0.5, 0.02],
            "hypercolumn": False,
            "eta": 0.01,
        }
        content = {"experiment": {"tracker": tracker | settings}, "weights": {"digest": weights}}
        for sub in ("ope", "speed"):
            (place / sub).mkdir(parents=True, exist_ok=True)
        (place / "summary.json").write_text(json.dumps(content))
        for sequence, rows in boxes.items():
            np.savetxt(place / "ope" / f"{sequence}.txt", rows, "%.4f", delimiter=",")
            text = json.dumps({"frames": speed[0], "seconds": speed[1]})
            (place / "speed" / f"{sequence}.json").write_text(text)
        return place

    return write


def off(benchmark: Benchmark, pixels: float, *without: str) -> dict[str, Boxes]:
    """Return boxes that lie some pixels to the right of the truth, but for some sequences."""
    shift = np.array([pixels, 0, 0, 0])
    return {n: t.truth + shift for n, t in benchmark.targets.items() if n not in without}
