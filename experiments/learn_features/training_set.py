"""Clips on disk, made once and part by part: an interrupted preparation continues.

Several trainings, each without some of the videos, share the clips.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from hcft_jax.data.sequence import Sequence as Video
from hcft_jax.util import files, npz, opening
from hcft_jax.util.errors import InputError

from . import crops
from .crops import ClipSettings

PART = 200  # clips per file


class Preparation:
    """The clips of some videos."""

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
            folder: The folder that keeps the clips.
            videos: Videos with ground truth, or photos.
            settings: How clips are drawn.
            count: Number of clips of all the videos together.
            patch: Side of the network's input in pixels.
            trainings: For each training, the names of the videos that it must not see.
        """
        self._folder, self._videos, self._settings = folder, videos, settings
        self._count, self._patch, self._trainings = count, patch, trainings

    def make(self) -> None:
        """Make the clips that the folder lacks.

        Raises:
            InputError: the folder was made with other settings, or a video cannot be used.
        """
        self._claim()
        for part, path in enumerate(tqdm(self._paths(), desc="clips", unit="part")):
            if path.exists():
                continue
            numbers = range(part * PART, min((part + 1) * PART, self._count))
            side = crops.region_side(self._patch)
            clips = list(crops.clips(self._videos, self._settings, numbers, side))
            arrays: dict[str, Any] = {
                "regions": np.stack([clip.regions for clip in clips]),
                "videos": np.array([clip.video for clip in clips]),
            }
            with files.replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)

    def of(self, training: int) -> npt.NDArray[np.uint8]:
        """Load the clips of the training of this number, without the videos it must not see.

        Args:
            training: The number.

        Returns:
            Regions ``[N, K, S, S, 3]``.

        Raises:
            InputError: a file is damaged.
        """
        without, found = self._trainings[training], []
        for path in self._paths():
            kept = _clips(path)
            own = np.array([str(name) not in without for name in kept["videos"]], np.bool_)
            found.append(kept["regions"][own])
        return np.concatenate(found)

    def _claim(self) -> None:
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
        }
        path, text = self._folder / "material.json", json.dumps(identity, sort_keys=True)
        if path.exists():
            if path.read_text(encoding="utf-8") != text:
                raise InputError(f"{path}: made with other settings; give another --output_dir")
            return
        with files.replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _paths(self) -> list[Path]:
        return [self._folder / f"clips-{first:06d}.npz" for first in range(0, self._count, PART)]


def _clips(path: Path) -> dict[str, np.ndarray]:
    try:
        clips = npz.read(path, opening.RESPONSES, names=("regions", "videos"))
    except OSError as error:
        raise npz.damaged(path, error) from error
    regions, videos = clips["regions"], clips["videos"]
    fits = regions.ndim == 5 and regions.dtype == np.uint8 and videos.shape == regions.shape[:1]
    if not fits or videos.dtype.kind != "U":
        raise InputError(f"{path}: not clips that were made here; remove it")
    return clips
