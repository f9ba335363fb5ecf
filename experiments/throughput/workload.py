"""What is tracked: drawn sequences as JPEG files, so that decoding is real, or a data set's."""

import dataclasses
from collections.abc import Sequence as Many
from dataclasses import dataclass
from pathlib import Path

from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.sampling import Geometry
from hcft_jax.core.target import Bucket, buckets, place
from hcft_jax.data import datasets, otb
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic

SIZES = ((480, 640), (360, 640), (288, 352), (240, 320))  # of images: the usual ones of OTB
TARGETS = ((96.0, 64.0), (60.0, 60.0), (40.0, 80.0), (125.0, 122.0), (72.0, 30.0))


@dataclass(frozen=True)
class InMemory:
    """A FrameSource of frames that are decoded already."""

    frames: tuple[Frame, ...]

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, index: int) -> Frame:
        """Return a frame."""
        return self.frames[index]

    def label(self, index: int) -> str:
        """Return which frame it is."""
        return f"frame {index}"


@dataclass(frozen=True)
class Workload:
    """Sequences and the buckets that hold them."""

    sequences: tuple[Sequence, ...]
    geometries: tuple[Geometry, ...]
    buckets: tuple[Bucket, ...]

    @property
    def frames(self) -> int:
        """The number of frames of all sequences."""
        return sum(map(len, self.sequences))

    def groups(self) -> list[tuple[Bucket, list[int]]]:
        """Return the indices of the sequences by bucket: the smallest that holds a sequence."""
        into: dict[Bucket, list[int]] = {bucket: [] for bucket in self.buckets}
        for index, geometry in enumerate(self.geometries):
            into[next(b for b in self.buckets if b.holds(geometry))].append(index)
        return [(bucket, indices) for bucket, indices in into.items() if indices]

    def repeated(self, count: int) -> "Workload":
        """Return at least ``count`` sequences for each bucket, by repeating these."""
        times = -(-count // min(len(indices) for _, indices in self.groups()))
        return Workload(self.sequences * times, self.geometries * times, self.buckets)

    def shortened(self, frames: int) -> "Workload":
        """Return the same sequences, of which only the first ``frames`` frames are kept."""
        return dataclasses.replace(self, sequences=tuple(beginning(self.sequences, frames)))

    def in_memory(self) -> "Workload":
        """Return the same sequences, whose frames are decoded already."""
        held = [
            dataclasses.replace(s, frames=InMemory(tuple(map(s.frames.read, range(len(s))))))
            for s in self.sequences
        ]
        return dataclasses.replace(self, sequences=tuple(held))

    def describe(self) -> dict[str, object]:
        """Return names, lengths and sizes (width x height) as plain data."""
        return {
            "sequences": [s.name for s in self.sequences],
            "frames": [len(s) for s in self.sequences],
            "images": sorted({"x".join(map(str, g.image[::-1])) for g in self.geometries}),
            "grids": ["x".join(map(str, g.grid[::-1])) for g in self.geometries],
            "buckets": [{"image": b.image[::-1], "grid": b.grid[::-1]} for b, _ in self.groups()],
        }


def gather(sequences: Many[Sequence], config: TrackerConfig, most: int) -> Workload:
    """Return the workload of some sequences, in at most ``most`` buckets.

    Raises:
        InputError: a first frame cannot be read or a first box cannot be tracked.
    """
    shapes = [sequence.frames.read(0).shape for sequence in sequences]
    geometries = [
        place(sequence.boxes[0], (shape[0], shape[1]), config.layout)[0]
        for sequence, shape in zip(sequences, shapes, strict=True)
    ]
    lengths = [float(len(sequence)) for sequence in sequences]
    return Workload(tuple(sequences), tuple(geometries), tuple(buckets(geometries, lengths, most)))


def beginning(sequences: Many[Sequence], frames: int | None) -> list[Sequence]:
    """Return the first ``frames`` frames of each sequence; None: all frames."""
    return [s.part(0, min(frames or len(s), len(s)) - 1) for s in sequences]


def drawn(folder: Path, count: int, frames: int, *, scale: float = 1.0) -> list[Sequence]:
    """Draw sequences of several image and target sizes, and write them as JPEG files.

    Args:
        folder: for the files.
        count: the number of sequences.
        frames: the number of frames of each sequence.
        scale: of images and targets, relative to the usual sizes; tests make them small.
    """
    for seed in range(count):
        height, width = (round(scale * side) for side in SIZES[seed % len(SIZES)])
        target = TARGETS[seed % len(TARGETS)]
        options = Synthetic(
            seed=seed,
            frames=frames,
            height=height,
            width=width,
            target=(max(8.0, scale * target[0]), max(8.0, scale * target[1])),
            motion=scale * 50.0,  # of 4-pixel cells: it stays in about half of the frames
            noise=4.0,
        )
        otb.write(synthetic(options), folder, image_format="jpg")
    return real(folder)


def real(folder: str | Path, names: Many[str] = (), frames: int | None = None) -> list[Sequence]:
    """Read the first ``frames`` frames of each sequence of a data set (None: all frames).

    Raises:
        InputError: no such sequence, or one that cannot be used.
    """
    found = datasets.find(folder, names=names or None)
    return beginning([target.load() for target in found], frames)


def jpeg(folder: Path, size: tuple[int, int], frames: int, target: float = 60.0) -> Sequence:
    """Draw one sequence of images (height, width), and write it as JPEG files."""
    options = Synthetic(
        frames=frames,
        height=size[0],
        width=size[1],
        target=(min(target, size[0] / 3), min(target, size[1] / 3)),
        motion=min(50.0, size[0] / 8),
    )
    otb.write(synthetic(options), folder, image_format="jpg")
    return real(folder)[0]


def sizes(sequence: Sequence) -> list[int]:
    """Return the bytes of each of a sequence's first eight frames that is a file."""
    labels = (sequence.frames.label(i) for i in range(min(len(sequence), 8)))
    return [path.stat().st_size for path in map(Path, labels) if path.is_file()]
