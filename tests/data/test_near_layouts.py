"""Data sets as people have them: one sequence alone, other names of frames, folders too deep."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hcft_jax.data import datasets, layout
from hcft_jax.util.errors import InputError
from tests.data.test_layouts import ROWS, frames, make_got10k, make_lasot, make_vot, text


def make_otb(root: Path, name: str = "Deer") -> None:
    frames(root / name / "img", range(1, 5), 4)
    text(root / name / "groundtruth_rect.txt", ROWS)


@pytest.mark.parametrize(
    ("make", "place", "kind", "name"),
    [
        (make_otb, "Deer", "otb", "Deer"),
        (make_lasot, "cat/cat-1", "lasot", "cat-1"),
        (make_vot, "book", "vot", "book"),
        (make_got10k, "test/GOT-10k_Test_000001", "plain", "GOT-10k_Test_000001"),
    ],
)
def test_a_folder_that_is_a_sequence_itself_is_read(
    make: Callable[[Path], None],
    place: str,
    kind: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(tmp_path / "set")
    assert datasets.recognise(tmp_path / "set" / place) == kind
    alone = tmp_path / "alone" / name
    shutil.copytree(tmp_path / "set" / place, alone)
    monkeypatch.chdir(alone)
    for root in (tmp_path / "set" / place, alone, Path()):
        (target,) = datasets.find(root)
        (whole,) = datasets.find(tmp_path / "set", kind, [name]) if kind != "plain" else [target]
        assert target.name == name
        np.testing.assert_array_equal(target.load().boxes, whole.load().boxes)
        assert datasets.not_read(root, [target]) == []


def test_several_targets_of_a_sequence_itself(tmp_path: Path) -> None:
    make_otb(tmp_path, "Jogging")
    truth = tmp_path / "Jogging" / "groundtruth_rect.txt"
    shutil.copy(truth, truth.with_name("groundtruth_rect.2.txt"))
    truth.rename(truth.with_name("groundtruth_rect.1.txt"))
    found = datasets.find(tmp_path / "Jogging")
    assert [target.name for target in found] == ["Jogging-1", "Jogging-2"]


@pytest.mark.parametrize("make", [make_otb, make_lasot, make_vot, make_got10k])
def test_folders_of_one_name_within_each_other_are_one(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "flat")
    flat = {t.name: t.load().boxes for t in datasets.find(tmp_path / "flat")}
    deep = tmp_path / "deep"
    shutil.copytree(tmp_path / "flat", deep)
    for target in datasets.find(deep):
        folder = target.where.parent
        aside = tmp_path / "aside"
        shutil.move(folder, aside)
        (folder / "__MACOSX").mkdir(parents=True)
        shutil.move(aside, folder / folder.name)
    found = datasets.find(deep)
    assert datasets.not_read(deep, found) == []
    shutil.copytree(deep, tmp_path / "x" / "x" / "x")
    for targets in (found, datasets.find(tmp_path / "x")):
        assert {target.name for target in targets} == flat.keys()
        for target in targets:
            np.testing.assert_array_equal(target.load().boxes, flat[target.name])


def test_frames_may_have_a_word_before_their_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "Deer" / "img"
    make_otb(tmp_path)
    for number, path in enumerate(sorted(folder.iterdir()), 9):
        path.rename(folder / f"img{number:05d}.jfif")
    (folder / "cover2.png").touch()
    (target,) = datasets.find(tmp_path)
    sequence = target.load()
    assert sequence.first_frame == 9
    assert [sequence.frames.label(i)[-13:] for i in range(4)] == [
        f"img{number:05d}.jfif" for number in range(9, 13)
    ]
    line = "1 images have no number after img and are no frames: cover2.png ..."
    assert capsys.readouterr().err == f"note: {folder}: {line}\n"
    (folder / "img00010.jfif").unlink()
    with pytest.raises(InputError, match="frame 10 is missing"):
        layout.all_frames(folder)


def test_vot_says_in_a_file_where_its_frames_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_vot(tmp_path)
    folder = tmp_path / "book"
    frames(folder / "visible", range(1, 5), 5)
    frames(folder / "infrared", range(1, 5), 5)
    shutil.rmtree(folder / "color")
    path = folder / "sequence"
    path.write_text("channels.ir=infrared/%05d.jpg\nchannels.color=visible/%05d.jpg\nfps=30\n")
    (target,) = datasets.find(tmp_path, names=["book"])
    assert "visible" in target.load().frames.label(0)
    assert "the colour is tracked in, not ir" in capsys.readouterr().err
    (alone,) = datasets.find(folder)
    assert "visible" in alone.load().frames.label(0)
    for bad, message in (
        ("channels.ir=infrared/%05d.jpg", "no colour among its channels"),
        ("channels.color=../%05d.jpg", "not in the folder of the sequence"),
    ):
        path.write_text(bad)
        (target,) = datasets.find(tmp_path, names=["book"])
        with pytest.raises(InputError, match=message):
            target.load()


def test_vots_has_several_objects_that_may_come_later(tmp_path: Path) -> None:
    make_vot(tmp_path)
    folder = tmp_path / "book"
    (folder / "groundtruth.txt").rename(folder / "groundtruth_2.txt")
    text(folder / "groundtruth_10.txt", "0\n0\n3,4,9,8\n3,5,9,8\n")
    one, other = datasets.find(tmp_path, names=["book"])
    assert (one.name, other.name) == ("book-2", "book-10")
    assert len(one.load()) == 4
    late = other.load()
    assert (len(late), late.first_frame) == (2, 3)
    np.testing.assert_array_equal(late.boxes, [[3, 4, 9, 8], [3, 5, 9, 8]])
