"""What a reader of the documents has: a folder with data, results, a video and some images."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from hcft_jax.data import otb
from hcft_jax.data.sequence import Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.evaluation import toolkit
from hcft_jax.evaluation.annotations import ATTRIBUTES
from hcft_jax.experiment import settings
from hcft_jax.experiment.settings import Experiment
from hcft_jax.util import boxes
from tests import films

NAMES = ("Deer", "Jogging-1", "Girl", "Bolt2")


def drawn(name: str, seed: int) -> Sequence:
    """Some small frames of a target, under the name of a sequence of OTB; TRE needs 20 and more."""
    frames = 22 if name == "Deer" else 8
    tiny = Synthetic(seed=seed, frames=frames, height=64, width=80, target=(20, 20), motion=12.0)
    return dataclasses.replace(synthetic(tiny), name=name)


@pytest.fixture(scope="session")
def belongings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder: OTB100, otb_meta, published/mat, results and cat.mp4."""
    folder = tmp_path_factory.mktemp("reader")
    sequences = [drawn(name, seed) for seed, name in enumerate(NAMES)]
    for sub in ("otb_meta/anno", "otb_meta/initOmit", "published/mat", "my"):
        (folder / sub).mkdir(parents=True)
    lines = [",".join(["name,startFrame,endFrame,frames,TB50,CVPR13", *ATTRIBUTES])]
    for sequence in sequences:
        otb.write(sequence, folder / "OTB100")
        truth, count = boxes.to_file(sequence.boxes), len(sequence)
        np.savetxt(folder / "otb_meta" / "anno" / f"{sequence.name}.txt", truth, delimiter=",")
        lines.append(",".join([f"{sequence.name},1,{count},{count},1,1", *"1" * len(ATTRIBUTES)]))
        for tracker, off in (("CF2", 1.0), ("KCF", 9.0), ("MEEM", 4.0), ("Struck", 6.0)):
            path = folder / "published" / "mat" / f"{sequence.name}_{tracker}.mat"
            moved = truth + np.array([off, 0, 0, 0])
            toolkit.write_mat(path, moved, start=1, annotated_from=1)
        for name, off in (("cf2-44443709", 2.0), ("hcft-290d1525", 3.0)):
            result(folder / "results" / name, sequence.name, truth + np.array([off, 0, 0, 0]))
    (folder / "otb_meta" / "attributes.csv").write_text("\n".join(lines) + "\n")
    large = synthetic(Synthetic(frames=3, height=240, width=320, target=(48, 64), motion=20.0))
    films.write(folder / "cat.mp4", [large.frames.read(i) for i in range(3)], "libx264", "yuv420p")
    return folder


def result(folder: Path, name: str, rows: Any) -> None:
    """Write a sequence's boxes as the main command does, with what the exhibits read."""
    for sub in ("ope", "speed"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    np.savetxt(folder / "ope" / f"{name}.txt", rows, "%.4f", delimiter=",")
    (folder / "speed" / f"{name}.json").write_text(json.dumps({"frames": 8, "seconds": 2.0}))
    tracker = {
        "layers": ["conv5_4", "conv4_4", "conv3_4"],
        "gamma": [1.0, 0.5, 0.02],
        "hypercolumn": False,
        "eta": 0.01,
    }
    content = {"experiment": {"tracker": tracker}, "weights": {"digest": "w"}}
    (folder / "summary.json").write_text(json.dumps(content))


def shallow(load: Callable[[str], Experiment]) -> Callable[[str], Experiment]:
    """Load the main configurations with shallow layers and a small input: seconds to compile."""
    fields = {"layers": ("conv2_2", "conv2_1", "conv1_2"), "input_size": 32}
    main = ("hcft", "cf2", "otb", "video", "demo")

    def loaded(name: str) -> Experiment:
        if name not in main:
            return load(name)
        return dataclasses.replace(settings.override(load(name), fields), base=None)

    return loaded


@pytest.fixture
def reader(
    belongings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """A copy of the folder to work in, and the names that Python blocks may use."""
    shutil.copytree(belongings, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path, tmp_path / "experiments", tmp_path / "exported"):
        monkeypatch.syspath_prepend(place)
    monkeypatch.setenv("HCFT_WEIGHTS", "random")
    monkeypatch.setattr(settings, "load", shallow(settings.load))
    small = Synthetic(frames=4, height=240, width=320, target=(48, 64), motion=20.0)
    sequence = synthetic(small)
    images = [sequence.frames.read(i) for i in range(len(sequence))]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield {
            "image": images[0],
            "images": images[1:3],
            "first_image": images[0],
            "first_box": sequence.boxes[0],
            "chunk": np.stack(images[1:3]),
            "count": 2,
            "sequence": sequence,
            "sequences": [sequence, sequence.part(1, 3)],
        }
