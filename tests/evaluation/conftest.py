"""A benchmark of five short targets in the layout of the annotations."""

from pathlib import Path

import numpy as np
import pytest

from hcft_jax.evaluation import annotations
from hcft_jax.evaluation.annotations import ATTRIBUTES, Benchmark

# Name, first frame, frames, TB50, CVPR13, attributes. Tiger1 is evaluated from frame 6 on.
TARGETS = [
    ("One", 1, 4, 1, 1, {"IV", "OCC"}),
    ("Two-1", 1, 6, 1, 0, {"OCC"}),
    ("Two-2", 1, 6, 0, 1, {"OCC", "LR"}),
    ("Human4-2", 11, 5, 0, 0, set()),
    ("Tiger1", 1, 9, 0, 1, {"LR"}),
]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of annotations, not in ``tmp_path``: it would look like a tracker's there."""
    place = tmp_path_factory.mktemp("annotations")
    for sub in ("anno", "initOmit"):
        (place / sub).mkdir(parents=True)
    lines = ["name,startFrame,endFrame,frames,TB50,CVPR13," + ",".join(ATTRIBUTES)]
    for name, first, frames, tb50, cvpr13, has in TARGETS:
        flags = ",".join(str(int(a in has)) for a in ATTRIBUTES)
        lines.append(f"{name},{first},{first + frames - 1},{frames},{tb50},{cvpr13},{flags}")
        truth = np.array([[20 + 3 * t, 30, 10, 20] for t in range(frames)])
        np.savetxt(place / "anno" / f"{name}.txt", truth, "%d", delimiter="\t")
    (place / "attributes.csv").write_text("\n".join(lines) + "\n")
    (place / "initOmit" / "One.txt").write_text("2 3\n4\t4\n\n")
    return place


@pytest.fixture
def small(folder: Path) -> Benchmark:
    """The benchmark in that folder."""
    return annotations.load(folder)
