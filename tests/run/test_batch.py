"""Lanes against one sequence after the other."""

import collections
from collections.abc import Sequence as Many
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from experiments.throughput import workload
from hcft_jax.backbones.backbone import Params
from hcft_jax.benchmark import execute
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.target import Bucket
from hcft_jax.data import datasets
from hcft_jax.data.sequence import Frame, FrameSource, Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.run import device_decoder
from hcft_jax.run.batch import LaneTrack, track_many
from hcft_jax.run.streaming import track_sequence
from hcft_jax.util import compilation
from hcft_jax.util.errors import InputError
from tests.conftest import LATER, shared
from tests.decoding import Lighter, as_files, faked
from tests.run.test_streaming import Broken

SMALL = TrackerConfig(layers=("conv2_2", "conv1_2"), gamma=(1.0, 0.5), input_size=32)
BUCKET = Bucket(image=(64, 80), grid=(18, 20))
DRAWN = Synthetic(height=64, width=80, target=(20, 20), motion=12.0)


def drawn(seed: int) -> Sequence:
    """Targets, images and lengths of different sizes."""
    options = replace(
        DRAWN,
        seed=seed,
        frames=(11, 1, 7, 16, 4)[seed % 5],
        height=64 - 3 * seed,
        width=80 - 2 * seed,
        target=(20.0 - 2 * seed, 14.0 + 2 * seed),
    )
    return replace(synthetic(options), name=f"drawn {seed}")


def together(
    params: Params, sequences: Many[Sequence], config: TrackerConfig = SMALL, **how: Any
) -> list[LaneTrack]:
    tracks = list(track_many(params, config, sequences, bucket=BUCKET, **how))
    return sorted(tracks, key=lambda track: track.index)


def alone(params: Params, sequence: Sequence, config: TrackerConfig = SMALL) -> np.ndarray:
    return np.concatenate([t.boxes for t in track_sequence(params, config, sequence)])


@pytest.mark.parametrize("batched", [True, False], ids=["batch", "turns"])
@pytest.mark.parametrize(("lanes", "passes"), [(1, 3), (2, 4), (3, 8), (8, 2)])
def test_lanes_give_the_boxes_of_one_after_the_other(
    params: Params, lanes: int, passes: int, batched: bool
) -> None:
    sequences = [drawn(seed) for seed in range(5)]
    tracks = together(params, sequences, lanes=lanes, passes=passes, batched=batched)
    assert [track.index for track in tracks] == list(range(5))
    for track, sequence in zip(tracks, sequences, strict=True):
        assert track.error is None
        np.testing.assert_array_equal(track.boxes, alone(params, sequence))
        assert np.isfinite(track.psr[1:]).all()


@pytest.mark.parametrize("batched", [True, False], ids=["batch", "turns"])
def test_tracks_on_the_same_frames_read_each_once(params: Params, batched: bool) -> None:
    class Counted:
        def __init__(self, whole: FrameSource) -> None:
            self.whole, self.reads = whole, collections.Counter[int]()

        def __len__(self) -> int:
            return len(self.whole)

        def read(self, index: int) -> Frame:
            self.reads[index] += 1
            return self.whole.read(index)

        def label(self, index: int) -> str:
            return self.whole.label(index)

    whole = drawn(3)
    counted = Counted(whole.frames)
    shared_ = replace(whole, frames=counted)
    moved = replace(shared_, boxes=shared_.boxes + np.array([2.0, -1.0, 0.0, 0.0]))
    sequences = [shared_, moved, shared_.part(0, 9)]
    tracks = together(params, sequences, lanes=3, passes=4, batched=batched)
    for track, sequence in zip(tracks, sequences, strict=True):
        np.testing.assert_array_equal(track.boxes, alone(params, sequence))
    # each was read once more by each track alone, and the first frame to begin each track
    assert counted.reads[0] == 3 + 3
    assert [counted.reads[i] for i in range(1, 10)] == [1 + 3] * 9
    assert [counted.reads[i] for i in range(10, 16)] == [1 + 2] * 6


@pytest.mark.parametrize("change", [{"update": "cf2", "search": "sum"}, {"hypercolumn": True}])
def test_every_kind_of_filter_can_be_batched(params: Params, change: dict[str, Any]) -> None:
    config = replace(SMALL, **change)
    sequence = drawn(3)
    (track,) = together(params, [sequence], config, lanes=2, passes=4, batched=True)
    np.testing.assert_array_equal(track.boxes, alone(params, sequence, config))


@pytest.mark.parametrize("batched", [True, False], ids=["batch", "turns"])
def test_the_devices_share_the_lanes(params: Params, batched: bool) -> None:
    assert len(jax.devices()) > 1, "conftest asks for two"
    sequences = [drawn(seed) for seed in range(5)]
    devices = jax.devices()
    tracks = together(params, sequences, lanes=4, passes=4, devices=devices, batched=batched)
    for track, sequence in zip(tracks, sequences, strict=True):
        np.testing.assert_array_equal(track.boxes, alone(params, sequence))


def test_two_executables_serve_all_sizes(params: Params) -> None:
    together(params, [drawn(0)], lanes=2, passes=4)
    before = compilation.total()
    together(params, [drawn(1), drawn(2), drawn(3), drawn(4)], lanes=2, passes=4)
    assert (compilation.total() - before).executables == 0
    together(params, [drawn(1)], lanes=5, passes=4)
    assert (compilation.total() - before).executables == 2


def test_four_executables_serve_the_targets_of_a_benchmark(params: Params) -> None:
    targets = [t for t in datasets.find(shared("otb")) if t.name not in LATER]
    whole = workload.gather([t.load().part(0, 2) for t in targets], SMALL, execute.BUCKETS)
    assert len({geometry.grid for geometry in whole.geometries}) == len(targets) == 17
    assert len({geometry.image for geometry in whole.geometries}) == 10
    before = compilation.total()
    for bucket, indices in whole.groups():
        sequences = [whole.sequences[i] for i in indices]
        for track in track_many(params, SMALL, sequences, bucket=bucket, lanes=3):
            assert track.error is None
            assert track.boxes.shape == (3, 4)
            assert np.isfinite(track.boxes).all()
    assert (compilation.total() - before).executables <= 4


@pytest.mark.parametrize("bad", [0, 1, 5, 10])
def test_a_frame_that_cannot_be_read_ends_its_track_only(params: Params, bad: int) -> None:
    broken = drawn(0)
    broken = replace(broken, frames=Broken(broken.frames, bad))
    first, second = together(params, [broken, drawn(3)], lanes=2, passes=4)
    assert "truncated" in str(first.error)
    np.testing.assert_array_equal(first.boxes, alone(params, drawn(0))[:bad])
    assert second.error is None
    np.testing.assert_array_equal(second.boxes, alone(params, drawn(3)))


def test_a_box_that_cannot_be_tracked_ends_its_track_only(params: Params) -> None:
    outside = drawn(0)
    outside = replace(outside, boxes=outside.boxes + 500)
    first, second = together(params, [outside, drawn(2)], lanes=1, passes=4)
    assert isinstance(first.error, InputError)
    assert len(first.boxes) == 0
    assert len(second.boxes) == 7


def test_progress_counts_every_frame_once(params: Params) -> None:
    counts = [0, 0]

    def count(index: int, frames: int) -> None:
        counts[index] += frames

    together(params, [drawn(0), drawn(3)], lanes=2, passes=4, progress=count)
    assert counts == [10, 15]


def test_lanes_must_divide_evenly(params: Params) -> None:
    with pytest.raises(ValueError, match="evenly"):
        together(params, [drawn(0)], lanes=3, devices=jax.devices()[:2])


def test_a_target_must_fit(params: Params) -> None:
    with pytest.raises(ValueError, match="cannot be put"):
        together(params, [synthetic(replace(DRAWN, height=70))], lanes=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Sequence]:
    """JPEG and PNG files of different sizes; one of the JPEG files is truncated."""
    folder = tmp_path_factory.mktemp("files")
    kinds = ("jpg", "png", "both", "jpg")
    made = [as_files(drawn(seed), folder / str(seed), kind) for seed, kind in enumerate(kinds)]
    bad = folder / "3" / "0009.jpg"
    bad.write_bytes(bad.read_bytes()[:-40])
    return made


@pytest.mark.parametrize("devices", [1, 2])
def test_a_decoder_of_the_device_gives_the_boxes_of_its_pixels(
    params: Params, files: list[Sequence], monkeypatch: pytest.MonkeyPatch, devices: int
) -> None:
    how: dict[str, Any] = {"lanes": 2 * devices, "devices": jax.devices()[:devices], "passes": 4}
    expected = together(params, files, **how)
    with faked(monkeypatch) as batches:
        tracks = together(params, files, **how, decode="device")
    # the host decodes the truncated file; what comes after it may have been asked for or not
    assert 11 + 4 + 9 <= sum(batches) <= 11 + 4 + 15
    for track, other in zip(tracks, expected, strict=True):
        np.testing.assert_array_equal(track.boxes, other.boxes)
        assert str(track.error) == str(other.error)
    assert [len(track.boxes) for track in tracks] == [11, 1, 7, 9]
    assert [track.error is not None for track in tracks] == [False, False, False, True]
    assert "0009.jpg: " in str(tracks[3].error)
    assert "truncated" in str(tracks[3].error)


def test_nvimagecodec_can_feed_lanes(
    params: Params, files: list[Sequence], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its decoder for the host, whose pixels are ours."""
    pytest.importorskip("nvidia.nvimgcodec")
    devices = jax.devices()[:2]
    how: dict[str, Any] = {"lanes": 4, "devices": devices, "passes": 4}
    expected = together(params, files, **how)
    decoders = [device_decoder.NvImageCodec(device) for device in devices]
    monkeypatch.setattr(device_decoder, "decoders_on", lambda _: decoders)
    tracks = together(params, files, **how, decode="device")
    for track, other in zip(tracks, expected, strict=True):
        np.testing.assert_array_equal(track.boxes, other.boxes)
        assert str(track.error) == str(other.error)


def test_pixels_of_the_device_are_what_is_tracked_on(
    params: Params, files: list[Sequence], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the first frame, which the host has decoded for its size."""
    lanes: dict[str, Any] = {"lanes": 1, "passes": 4}
    (whole,) = together(params, files[:1], **lanes)
    with faked(monkeypatch, Lighter) as batches:
        (track,) = together(params, files[:1], **lanes, decode="device")
    assert sum(batches) == 11
    assert (track.peak[1:] != whole.peak[1:]).all()

    class Seen:
        def __init__(self, source: FrameSource) -> None:
            self.source = source

        def __len__(self) -> int:
            return len(self.source)

        def read(self, index: int) -> Frame:
            return self.source.read(index) + np.uint8(100)

        def label(self, index: int) -> str:
            return self.source.label(index)

    lighter = replace(files[0], frames=Seen(files[0].frames))
    (expected,) = together(params, [lighter], **lanes)
    np.testing.assert_array_equal(track.boxes, expected.boxes)
    np.testing.assert_array_equal(track.peak, expected.peak)


def test_each_size_is_one_more_executable(
    params: Params, files: list[Sequence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = synthetic(replace(DRAWN, frames=6, height=61, width=71))  # no other test has this size
    how: dict[str, Any] = {"lanes": 2, "passes": 4, "decode": "device"}
    with faked(monkeypatch):
        together(params, files[:1], **how)
        before = compilation.total()
        together(params, [as_files(other, tmp_path / "other", "jpg"), files[0]], **how)
        between = compilation.total()
        together(params, [as_files(other, tmp_path / "again", "jpg"), files[0]], **how)
    assert (between - before).executables == 1
    assert (compilation.total() - between).executables == 0


def test_who_decodes_is_the_host_or_the_device(params: Params) -> None:
    with pytest.raises(ValueError, match="decode: 'gpu' is neither 'host' nor 'device'"):
        together(params, [drawn(0)], lanes=1, decode="gpu")


def test_without_a_gpu_no_device_decodes(params: Params) -> None:
    with pytest.raises(InputError, match="decode: device needs an NVIDIA GPU"):
        together(params, [drawn(0)], lanes=1, decode="device")
