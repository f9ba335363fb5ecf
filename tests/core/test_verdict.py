"""Frames of one colour: every way of tracking calls the target lost in them, at once."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.target import buckets, place
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.experiment import settings
from hcft_jax.export import exported, programs
from hcft_jax.run import single
from hcft_jax.run.batch import track_many
from hcft_jax.run.several import Several
from hcft_jax.run.streaming import track_sequence
from hcft_jax.run.together import track_together
from hcft_jax.weights import lookup

COLOURS = ((0, 0, 0), (128, 128, 128), (255, 255, 255), (20, 120, 230))
SIZE = (96, 120)


@dataclass(frozen=True)
class Frames:
    """A FrameSource over images."""

    images: tuple[Frame, ...]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> Frame:
        return self.images[index]

    def label(self, index: int) -> str:
        return f"frame {index}"


@pytest.fixture(scope="module")
def sequence() -> Sequence:
    drawn = Synthetic(frames=1, height=SIZE[0], width=SIZE[1], target=(32, 36), motion=10.0)
    given = synthetic(drawn)
    plain = tuple(np.full((*SIZE, 3), colour, np.uint8) for colour in COLOURS)
    frames = Frames((given.frames.read(0), *plain))
    return Sequence("plain", frames, np.repeat(given.boxes[:1], len(frames), axis=0))


def config(redetect: bool) -> TrackerConfig:
    return settings.derive("csk", redetect=redetect, looks=1).tracker


def lost_in(way: str, config: TrackerConfig, sequence: Sequence, folder: Path) -> Iterator[bool]:
    """Whether the target is lost in each frame after the first."""
    first, *others = sequence.frames.images  # type: ignore[attr-defined]
    box = sequence.boxes[0]
    if way == "streaming":
        for part in track_sequence({}, config, sequence):
            yield from part.lost
    elif way == "single":
        state = single.init({}, config, first, box)
        for image in others:
            state, output = single.step({}, config, state, image)
            yield bool(output.lost)
    elif way == "several":
        both = Several({}, config, first, [box, box + 2])
        for image in others:
            yield bool(both.update(image).lost.all())
    elif way == "together":
        pair = [config, replace(config, eta=0.3)]
        for results in list(track_together({}, pair, sequence))[1:]:
            yield bool(results.lost.all())
    else:
        (bucket,) = buckets([place(box, SIZE, config.layout)[0]], [1.0], 1)
        if way == "lanes":
            for track in track_many({}, config, [sequence], bucket=bucket, lanes=1):
                yield from track.lost[1:]
        else:
            programs.write(folder, config, lookup.find(None, config.backbone), bucket, ("cpu",))
            tracker = exported.ExportedTracker(folder)
            tracker.init(first, box)
            for image in others:
                tracker.update(image)
                yield tracker.lost


@pytest.mark.parametrize(
    ("way", "redetect"),
    [
        ("streaming", False),
        ("single", True),
        ("several", False),
        ("together", True),
        ("lanes", False),
        ("exported", False),
    ],
)
def test_a_frame_of_one_colour_is_lost(
    way: str, redetect: bool, sequence: Sequence, tmp_path: Path
) -> None:
    seen = list(lost_in(way, config(redetect), sequence, tmp_path))
    assert seen[-len(COLOURS) :] == [True] * len(COLOURS)
