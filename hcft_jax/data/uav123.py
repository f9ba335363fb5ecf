"""The layout of UAV123 and UAV20L (Mueller et al., ECCV 2016).

::

    <root>/anno/UAV123/<Name>.txt                  rows x,y,w,h, one per frame, 1-based; NaN: unseen
    <root>/anno/UAV20L/<Name>.txt
    <root>/data_seq/UAV123/<video>/000001.jpg ...  frames

UAV123 has long videos in parts (bird1_1, bird1_2, ...), which begin at the frames of the data set's
``configSeqs.m``; the number of its rows tells where a part ends. Sequences are selected by name or
by video.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

from hcft_jax.data import layout
from hcft_jax.data.layout import Dataset, ListedTarget
from hcft_jax.data.sequence import Sequence
from hcft_jax.util import boxes
from hcft_jax.util.files import is_dir

# fmt: off
# The first frame of the parts of UAV123 that do not begin with their video.
STARTS = {
    "bird1_2": 775, "bird1_3": 1573, "car1_2": 751, "car1_3": 1627, "car6_2": 487,
    "car6_3": 1807, "car6_4": 2953, "car6_5": 3925, "car8_2": 1357, "car16_2": 415,
    "group1_2": 1333, "group1_3": 2515, "group1_4": 3925, "group2_2": 907, "group2_3": 1771,
    "group3_2": 1567, "group3_3": 2827, "group3_4": 4369, "person2_2": 1189, "person4_2": 1501,
    "person5_2": 877, "person7_2": 1249, "person8_2": 1075, "person12_2": 601,
    "person14_2": 847, "person14_3": 1813, "person17_2": 1501, "person19_2": 1243,
    "person19_3": 2791, "truck4_2": 577, "uav1_2": 1555, "uav1_3": 2473,
}
# fmt: on


def load(where: Path, frames: Path) -> Sequence:
    """Read the ground truth of a sequence and list its part of a video's frames.

    Raises:
        InputError: Frames or ground truth are missing or damaged.
    """
    truth = boxes.from_file(boxes.parse(where, gaps=True))
    first = STARTS.get(where.stem, 1)
    numbered = layout.numbered(frames)
    last = first + len(truth) - 1
    if len(truth) == 1:  # only the box of the first frame is known
        last = max(numbered)
    files = layout.consecutive(frames, numbered, first, last)
    return layout.sequence(where.stem, files, truth, where, first, sizes_only=False)


def _video(root: Path, name: str) -> Path:
    videos = root / "data_seq" / "UAV123"
    part, _, number = name.rpartition("_")
    return videos / (part if number.isdigit() and not is_dir(videos / name) else name)


def _targets(version: str, root: Path) -> Iterator[ListedTarget]:
    for where in (root / "anno" / version).glob("*.txt"):
        video = _video(root, where.stem)
        read = functools.partial(load, where, video)
        yield ListedTarget(where.stem, video.name, where, video, read)


def _dataset(version: str) -> Dataset:
    return Dataset(
        title=version,
        layout=f"expected anno/{version}/<Name>.txt, data_seq/UAV123/<video>/000001.jpg ... in it",
        recognise=lambda root: (
            is_dir(root / "anno" / version) and is_dir(root / "data_seq" / "UAV123")
        ),
        targets=functools.partial(_targets, version),
        shared=True,
    )


DATASET = _dataset("UAV123")
DATASET_20L = _dataset("UAV20L")
