"""The commands that are ended, as small as they can be: drawn sequences and a tracker of 48 px."""

import dataclasses
import importlib.util
import io
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hcft_jax.data import otb
from hcft_jax.data.sequence import Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.visual.film import Film
from tests.server import serving
from tests.small import LAYERS, NAME

FRAMES = 10
SEQUENCES = 4
SCENE = Synthetic(frames=FRAMES, height=48, width=64, target=(16.0, 16.0), motion=8.0)
ARCHIVES = ("Boy", "Deer", "Girl")  # names that OTB-100 has
SLOWLY = 0.004  # seconds between blocks of the server, so that there is a middle of a download

_CONFIG = f"""
from hcft_jax import derive, product


def get_config():
    return derive({{base!r}}, backbone={NAME!r}, **{{of!r}}, input_size=48)


def get_sweep():
    return product(get_config(), eta=(0.01, 0.02), radius=(3.0, 4.0))
"""


@dataclass(frozen=True)
class Job:
    """A command, without the program and ``--output_dir=out``."""

    name: str
    module: str
    arguments: tuple[str, ...]
    alone: bool = False  # not beside others, since it takes the whole machine
    missing: str = ""  # why it cannot be tried here

    @property
    def command(self) -> list[str]:
        """The whole of it."""
        return [sys.executable, "-m", self.module, *self.arguments, "--output_dir=out"]


def _drawn(seed: int) -> Sequence:
    return synthetic(dataclasses.replace(SCENE, seed=seed))


def _archive(folder: Path, name: str, seed: int) -> bytes:
    sequence = dataclasses.replace(_drawn(seed), name=name)
    place = otb.write(sequence, folder)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(place.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return content.getvalue()


@contextmanager
def prepared(inputs: Path) -> Iterator[list[Job]]:
    """Draw the inputs of all jobs in a folder and serve the downloads; yield the jobs."""
    three = {"layers": LAYERS, "gamma": (1.0, 0.5, 0.25)}
    two = {"layers": LAYERS[:2], "gamma": (1.0, 0.5)}
    data = inputs / "data"
    for seed in range(SEQUENCES):
        otb.write(_drawn(seed), data)
    bases = {"small": ("lite0", three), "own": ("video", three), "two": ("lite0", two)}
    for name, (base, of) in bases.items():
        (inputs / f"{name}.py").write_text(_CONFIG.format(base=base, of=of))
    film = inputs / "film.mp4"
    scene = synthetic(dataclasses.replace(SCENE, seed=9, frames=4 * FRAMES))
    with Film(film) as writer:
        for number in range(4 * FRAMES):
            writer.write(scene.frames.read(number))
    starts = np.stack([scene.boxes[0], scene.boxes[0] + 2])
    np.savetxt(inputs / "boxes.txt", starts, "%.2f", delimiter=",")
    archives = {f"{n}.zip": _archive(inputs / "zip", n, i) for i, n in enumerate(ARCHIVES)}
    ray = "" if importlib.util.find_spec("ray") else "Ray is not installed"
    learn = "" if importlib.util.find_spec("orbax") else "Orbax is not installed"
    small, of_data = f"--config={inputs / 'small.py'}", f"--data_dir={data}"
    sweep = (f"--sweep={inputs / 'small.py'}", of_data)
    two_levels = f"--config={inputs / 'two.py'}"
    with serving(b"", "x") as server:
        server.files, server.pause = archives, SLOWLY
        url = server.url.rpartition("/")[0]
        yield [
            Job("benchmark", "hcft_jax.main", (small, of_data, "--overlay")),
            Job("lanes", "hcft_jax.main", (small, of_data, "--lanes=2")),
            Job("sweep", "hcft_jax.experiments.sweep", sweep),
            Job(
                "ray",
                "hcft_jax.experiments.sweep",
                (*sweep, "--engine=ray", "--ray_cpus=1"),
                alone=True,
                missing=ray,
            ),
            Job(
                "video",
                "hcft_jax.main",
                (
                    f"--config={inputs / 'own.py'}",
                    f"--video={film}",
                    f"--boxes={inputs / 'boxes.txt'}",
                ),
            ),
            Job(
                "download",
                "hcft_jax.data.otb_download",
                ("otb", f"--sequences={','.join(ARCHIVES)}", f"--url={url}"),
            ),
            Job(
                "learn_features",
                "hcft_jax.experiments.learn_features",
                (
                    two_levels,
                    "--drawn=2",
                    "--clips=8",
                    "--batch=2",
                    "--steps=6",
                    "--checkpoint_every=2",
                ),
                missing=learn,
            ),
            Job(
                "learn_hyper",
                "hcft_jax.experiments.learn_hyper",
                (
                    two_levels,
                    of_data,
                    "--steps=4",
                    "--snippet_frames=2",
                    "--batch=1",
                    "--held_out=synthetic-2,synthetic-3",
                ),
                missing=learn,
            ),
        ]
