"""Clips: reproducible, centred on the target, cropped as described."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from experiments.learn_features import crops
from experiments.learn_features.crops import ClipSettings
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.util.errors import InputError

STILL = ClipSettings(elsewhere=0.0, zoom=0.0, rotation=0.0, scale=0.0, flip=0.0, frames=3)


class Square:
    """A white square of 12 px that moves by 3 px per frame on black."""

    boxes = np.stack([[20.0 + 3 * i, 30.0 + i, 12.0, 12.0] for i in range(20)])

    def __len__(self) -> int:
        return len(self.boxes)

    def label(self, index: int) -> str:
        return f"square {index}"

    def read(self, index: int) -> Frame:
        image = np.zeros((80, 120, 3), np.uint8)
        x, y, w, h = self.boxes[index].astype(int)
        image[y : y + h, x : x + w] = 255
        return image


SQUARE = Sequence("square", Square(), Square.boxes)


def test_a_clip_depends_on_its_number_alone() -> None:
    videos, settings = crops.drawn(2, 0), ClipSettings()
    several = list(crops.clips(videos, settings, range(6), 40))
    alone = crops.clip(videos, settings, 4, 40)
    assert several[4].video == alone.video
    np.testing.assert_array_equal(several[4].regions, alone.regions)
    assert len({clip.regions.tobytes() for clip in several}) == 6


def test_another_seed_draws_others() -> None:
    videos = crops.drawn(2, 0)
    one, other = (crops.clip(videos, ClipSettings(seed=s), 0, 40).regions for s in (0, 1))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("index", range(5))
def test_the_target_is_in_the_middle_of_each_region(index: int) -> None:
    clip = crops.clip([SQUARE], STILL, index, 64)
    assert clip.regions.shape == (3, 64, 64, 3)
    for region in clip.regions[..., 0].astype(float):
        rows, columns = np.indices(region.shape)
        centroid = np.array([(region * rows).sum(), (region * columns).sum()]) / region.sum()
        np.testing.assert_allclose(centroid, 31.5, atol=0.2)


def test_the_first_region_has_the_size_of_the_window_and_its_margin() -> None:
    region = crops.clip([SQUARE], STILL, 0, 160).regions[0, ..., 0] > 127
    # 12 px of a window of 2.8 x 12 px, which is 112 of 160 px
    assert region.any(axis=0).sum() == pytest.approx(112 / 2.8, abs=1)


def test_elsewhere_is_the_same_frame() -> None:
    clip = crops.clip([SQUARE], dataclasses.replace(STILL, elsewhere=1.0), 3, 48)
    for region in clip.regions[1:]:
        np.testing.assert_array_equal(region, clip.regions[0])


def test_a_cut_of_whole_pixels_is_a_slice_with_repeated_edges() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    padded = np.pad(image, [(8, 8), (8, 8), (0, 0)], mode="edge")
    found = crops.cut(image, np.array([4.0, 6.0]), np.array([16.0, 16.0]), 16)
    np.testing.assert_array_equal(found, padded[4:20, 6:22])
    mirrored = crops.cut(image, np.array([4.0, 6.0]), np.array([16.0, 16.0]), 16, mirrored=-1.0)
    np.testing.assert_array_equal(mirrored, found[:, ::-1])


def test_a_turned_cut_of_a_quarter_is_the_rotated_one() -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
    straight, turned = (
        crops.cut(image, np.array([20.0, 20.0]), np.array([16.0, 16.0]), 16, turn)
        for turn in (0.0, np.pi / 2)
    )
    assert np.array_equal(turned, np.rot90(straight)) or np.array_equal(
        turned, np.rot90(straight, -1)
    )


def test_a_video_without_truth_is_named() -> None:
    unknown = dataclasses.replace(SQUARE, boxes=np.full_like(Square.boxes, np.nan))
    with pytest.raises(InputError, match="square: no 3 frames with truth"):
        crops.clip([unknown], STILL, 0, 40)


def test_a_photo_is_cut_at_any_spot(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), cv2.resize(noise, (160, 120), interpolation=cv2.INTER_CUBIC))
    videos = crops.photos([path])
    found = [crops.clip(videos, ClipSettings(elsewhere=0.0), index, 40) for index in range(4)]
    assert {clip.video for clip in found} == {f"{tmp_path.name}/photo.png"}
    assert len({clip.regions[0].tobytes() for clip in found}) == 4
    for clip in found:
        assert not np.array_equal(clip.regions[0], clip.regions[1])


@pytest.mark.parametrize("seed", range(5))
def test_a_cover_is_a_piece_of_what_is_beside_the_target(seed: int) -> None:
    side = crops.region_side(112)
    region = np.random.default_rng(7).integers(0, 256, (side, side, 3), np.uint8)
    before = region.copy()
    crops.cover(region, np.random.default_rng(seed))
    rows, columns = (np.flatnonzero((region != before).any((1 - axis, 2))) for axis in (0, 1))
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    target = 112 / 2.8
    assert 0.3 * target < height <= 1.1 * target
    assert abs(rows.mean() - side / 2) < 0.9 * target
    piece = region[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    outside = np.abs(np.arange(side) - side / 2) > target / 2 - 1
    views = np.lib.stride_tricks.sliding_window_view(before, (height, width), axis=(0, 1))
    equal = (views == np.moveaxis(piece, 2, 0)).all((2, 3, 4))
    (place,) = np.argwhere(equal)
    assert outside[place[0]]
    assert outside[place[0] + height - 1]


def test_nothing_is_covered_unless_asked() -> None:
    bare, covered = (
        crops.clip([SQUARE], dataclasses.replace(STILL, covered=c), 0, 64).regions
        for c in (0.0, 1.0)
    )
    np.testing.assert_array_equal(bare[0], covered[0])
    assert all(not np.array_equal(a, b) for a, b in zip(bare[1:], covered[1:], strict=True))
