"""Clips and lessons on disk, made once and part by part: an interrupted preparation continues.

Several trainings, each without some of the videos, share the clips and the teacher's passes over
them. The principal components that a training is taught come from its own videos only.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hcft_jax.data.sequence import Sequence as Video
from hcft_jax.util import files
from hcft_jax.util.errors import InputError

from . import crops, teacher
from .crops import Clip, ClipSettings
from .teacher import Component, Moments, Teacher

PART = 200  # clips per file
STUDIED = 300  # clips that the principal components are computed from


class TrainingSet(NamedTuple):
    """The clips and lessons of one training."""

    regions: npt.NDArray[np.uint8]  # [N, K, S, S, 3]
    lessons: dict[str, npt.NDArray[np.float16]]  # by level [N, h, w, D]; empty without a teacher
    components: dict[str, Component]  # by level; empty without a teacher


class Preparation:
    """The clips of some videos, and a teacher's features of their first regions."""

    def __init__(
        self,
        folder: Path,
        videos: Sequence[Video],
        settings: ClipSettings,
        count: int,
        patch: int,
        trainings: Sequence[frozenset[str]],
    ) -> None:
        """Take the settings; nothing is made yet.

        Args:
            folder: The folder that keeps clips and lessons.
            videos: Videos with ground truth.
            settings: How clips are drawn.
            count: Number of clips of all the videos together.
            patch: Side of the network's input in pixels.
            trainings: For each training, the names of the videos that it must not see.
        """
        self._folder, self._videos, self._settings = folder, videos, settings
        self._count, self._patch, self._trainings = count, patch, trainings

    def make(self, tutor: Teacher | None, channels: Mapping[str, int], identity: Any) -> None:
        """Make the clips and lessons that the folder lacks.

        Args:
            tutor: The teacher; None for clips only.
            channels: Number of components by level.
            identity: Plain data that clips and lessons depend on besides the settings.

        Raises:
            InputError: the folder was made with other settings, or a video cannot be used.
        """
        self._claim([identity, dict(channels)])
        side, scale = crops.region_side(self._patch), 1
        if tutor is not None:  # regions are cropped as large as it needs them, then averaged
            scale = tutor.side // self._patch
        learned = self._components(tutor, channels, side * scale) if tutor is not None else []
        paths = self._paths()
        for part, path in enumerate(tqdm(paths, desc="clips", unit="part")):
            if path.exists():
                continue
            last = min((part + 1) * PART, self._count)
            clips = list(self._cut(range(part * PART, last), side * scale))
            arrays: dict[str, Any] = {
                "regions": np.stack([_shrunk(clip.regions, scale) for clip in clips]),
                "videos": np.array([clip.video for clip in clips]),
            }
            if tutor is not None:
                lessons = [tutor.lessons(self._centre(clip, tutor.side), learned) for clip in clips]
                for t, of in enumerate(learned):
                    for name in of:
                        arrays[f"{t}/{name}"] = np.stack([one[t][name] for one in lessons])
            _save(path, arrays)

    def of(self, training: int) -> TrainingSet:
        """Load the set of the training of this number, without the videos it must not see."""
        known = self._load_components(training)
        parts: list[dict[str, npt.NDArray[Any]]] = []
        for path in self._paths():
            with np.load(path, allow_pickle=False) as kept:
                without = self._trainings[training]
                own = np.array([str(name) not in without for name in kept["videos"]])
                part = {name: kept[f"{training}/{name}"][own] for name in known}
                parts.append({"regions": kept["regions"][own], **part})
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return TrainingSet(joined.pop("regions"), joined, known)

    def _claim(self, more: Any) -> None:
        """Record the settings that the folder is made with.

        Raises:
            InputError: it was made with other settings.
        """
        identity = {
            "videos": [video.name for video in self._videos],
            "setting": vars(self._settings),
            "clips": self._count,
            "patch": self._patch,
            "trainings": [sorted(names) for names in self._trainings],
            "more": more,
        }
        path, text = self._folder / "material.json", json.dumps(identity, sort_keys=True)
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise InputError(f"{path}: made with other settings; give another --output_dir")
        with files.replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _cut(self, indices: range, side: int) -> Iterator[Clip]:
        return crops.clips(self._videos, self._settings, indices, side)

    @staticmethod
    def _centre(clip: Clip, size: int) -> npt.NDArray[np.uint8]:
        margin = (clip.regions.shape[1] - size) // 2
        return clip.regions[0, margin : margin + size, margin : margin + size]

    def _paths(self) -> list[Path]:
        return [self._folder / f"clips-{first:06d}.npz" for first in range(0, self._count, PART)]

    def _components(
        self, tutor: Teacher, channels: Mapping[str, int], side: int
    ) -> list[dict[str, Component]]:
        """Make or load the components that each training is taught, from videos that it may see."""
        trainings = range(len(self._trainings))
        if not all(self._component_path(t).exists() for t in trainings):
            moments: list[Moments] = [{} for _ in trainings]
            counts = [0] * len(moments)
            studied = range(min(STUDIED, self._count))
            for clip in tqdm(self._cut(studied, side), "components", len(studied), unit="clip"):
                found = tutor.moments(self._centre(clip, tutor.side))
                for t, without in enumerate(self._trainings):
                    if clip.video not in without:
                        counts[t] += 1
                        for name, moment in found.items():
                            moments[t][name] = moments[t].get(name, 0.0) + moment
            for t in trainings:
                arrays = {}
                mean = {name: moment / counts[t] for name, moment in moments[t].items()}
                for name, c in teacher.components(mean, channels).items():
                    arrays[f"{name}/basis"] = c.basis
                    arrays[f"{name}/rest"] = np.array([c.scale, c.kept])
                _save(self._component_path(t), arrays)
        return [self._load_components(t) for t in trainings]

    def _component_path(self, training: int) -> Path:
        return self._folder / f"components-{training}.npz"

    def _load_components(self, training: int) -> dict[str, Component]:
        path = self._component_path(training)
        if not path.exists():
            return {}
        with np.load(path, allow_pickle=False) as kept:
            names = [key.removesuffix("/basis") for key in kept if key.endswith("/basis")]
            return {n: Component(kept[f"{n}/basis"], *map(float, kept[f"{n}/rest"])) for n in names}


def _save(path: Path, arrays: dict[str, Any]) -> None:
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def _shrunk(regions: npt.NDArray[np.uint8], scale: int) -> npt.NDArray[np.uint8]:
    """Average each ``scale`` x ``scale`` pixels of regions ``[K, S, S, 3]``."""
    count, side = regions.shape[:2]
    cells = regions.reshape(count, side // scale, scale, side // scale, scale, 3)
    return np.rint(cells.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)
