"""What is in a data set's folder and not read, and folders that cannot be read."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from hcft_jax.data import datasets
from hcft_jax.data.layout import LONGEST_NAME
from hcft_jax.util.errors import InputError
from tests.data.test_layouts import (
    MAKERS,
    ROWS,
    frames,
    make_got10k,
    make_otb,
    make_trackingnet,
    text,
)


def lines(root: Path) -> list[str]:
    return [
        line.replace(f"{root}/", "").partition("; expected")[0]
        for line in datasets.not_read(root, datasets.find(root))
    ]


@pytest.mark.parametrize("name", MAKERS)
def test_of_a_whole_data_set_nothing_is_unread(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path)
    assert lines(tmp_path) == []


def test_folders_that_hold_no_sequence_have_a_line_each(tmp_path: Path) -> None:
    make_otb(tmp_path)
    frames(tmp_path / "Girl" / "inner" / "img", range(1, 3), 4)
    text(tmp_path / "Girl" / "inner" / "groundtruth_rect.txt", ROWS[:2])
    frames(tmp_path / "Dog" / "imgs", range(1, 3), 4)
    frames(tmp_path / "Deer" / "old", range(1, 3), 4)
    text(tmp_path / "Boy" / "groundtruth.txt", ROWS)
    text(tmp_path / "Deer" / "groundtruth_old.txt", ROWS)
    (tmp_path / "Car4.zip").touch()
    (tmp_path / "Suv.mp4").touch()
    for odd in ("notes", "results/x/overlay", ".hidden/img", "lost+found/img", "__MACOSX/img"):
        (tmp_path / odd).mkdir(parents=True)
        (tmp_path / odd / ("a.txt" if odd == "notes" else "a.jpg")).touch()
    (tmp_path / "results/x/summary.json").touch()
    assert lines(tmp_path) == [
        "Car4.zip: not read",
        "Suv.mp4: not read",
        "Boy: no sequence is read there, though there is Boy/groundtruth.txt",
        "Deer/groundtruth_old.txt: not read",
        "Deer/old: no sequence is read there, though there is Deer/old/0001.jpg",
        "Dog: no sequence is read there, though there is Dog/imgs/0001.jpg",
        "Girl: no sequence is read there, though there is Girl/inner/groundtruth_rect.txt",
    ]


def test_what_a_list_leaves_out_has_a_line(tmp_path: Path) -> None:
    make_got10k(tmp_path)
    frames(tmp_path / "val" / "GOT-10k_Val_000003", range(1, 3))
    (line,) = lines(tmp_path)
    assert line.startswith("val/GOT-10k_Val_000003: no sequence is read there")


def test_frames_without_a_truth_have_a_line(tmp_path: Path) -> None:
    make_trackingnet(tmp_path)
    anno, *_ = tmp_path.rglob("anno")
    frames(anno.parent / "frames" / "other", range(3), 1)
    (line,) = lines(tmp_path)
    assert "frames/other: no sequence is read there" in line


def test_many_lines_are_counted(tmp_path: Path) -> None:
    make_otb(tmp_path)
    for number in range(30):
        text(tmp_path / f"no{number:02d}" / "groundtruth.txt", ROWS)
    found = lines(tmp_path)
    assert (len(found), found[-1]) == (21, f"{tmp_path}: 10 more are not read")


def test_links_are_followed_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make_otb(root)
    shutil.move(root / "Deer", tmp_path / "Deer")
    (root / "Deer").symlink_to(tmp_path / "Deer")
    (root / "back").symlink_to(root)
    (root / "up").symlink_to(tmp_path)
    frames(tmp_path / "Deer" / "old", range(1, 3), 4)
    found = lines(root)
    assert found[0].startswith("Deer/old: no sequence is read there")
    assert len(found) == 1


def test_images_without_a_number_are_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_otb(tmp_path)
    (target,) = datasets.find(tmp_path)
    for name in ("cover.jpg", "b.png", "._0001.jpg", "notes.txt"):
        (tmp_path / "Deer" / "img" / name).touch()
    for _ in range(2):
        assert len(target.load()) == 4
    folder = tmp_path / "Deer" / "img"
    assert capsys.readouterr().err == (
        f"note: {folder}: 2 images have no number and are no frames: b.png ...\n"
    )


@pytest.mark.parametrize("name", ["lost+found", "private"])
def test_a_folder_that_may_not_be_read_does_not_stop_the_others(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_otb(tmp_path)
    (tmp_path / name).mkdir()

    def guarded(function: Any, inside: bool) -> Any:
        def call(path: Any = ".", *args: Any, **more: Any) -> Any:
            if not isinstance(path, int):
                place = Path(os.fsdecode(path))
                if tmp_path / name in (place.parents if inside else (place, *place.parents)):
                    raise PermissionError(13, "Permission denied", str(path))
            return function(path, *args, **more)

        return call

    monkeypatch.setattr(os, "stat", guarded(os.stat, True))
    monkeypatch.setattr(os, "listdir", guarded(os.listdir, False))
    monkeypatch.setattr(os, "scandir", guarded(os.scandir, False))
    targets = datasets.find(tmp_path)
    assert datasets.not_read(tmp_path, targets) == []
    (deer,) = [target for target in targets if target.name == "Deer"]
    assert len(deer.load()) == 4
    for target in targets:
        if target.name != "Deer":
            assert target.name == "private"
            with pytest.raises(InputError, match="private"):
                target.load()


def test_a_name_that_leaves_no_room_for_results_is_an_error_of_that_sequence(
    tmp_path: Path,
) -> None:
    make_otb(tmp_path)
    long = "\u00e9" * (LONGEST_NAME // 2) + "x"
    frames(tmp_path / long / "img", range(1, 5), 4)
    text(tmp_path / long / "groundtruth_rect.txt", ROWS)
    deer, other = datasets.find(tmp_path)
    assert len(deer.load()) == 4
    with pytest.raises(InputError, match=r"has 241 bytes, .* rename the folder"):
        other.load()
