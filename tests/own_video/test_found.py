"""When a video's files are taken for done: the rule of the benchmark's results."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hcft_jax.data.contents import Contents
from hcft_jax.own_video.video_files import VideoFiles
from hcft_jax.run.identity import Identity
from hcft_jax.util.version import METHOD_VERSION

BOX = (3.0, 4.0, 20.0, 10.0)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"frames" * 99)
    return path


def of(clip: Path, **changes: Any) -> Identity:
    own = Identity("s", (BOX,), Contents([clip]), 0, 0, METHOD_VERSION)
    return dataclasses.replace(own, **changes)


@pytest.fixture
def done(clip: Path, tmp_path: Path) -> VideoFiles:
    """The files of a clip that was tracked."""
    files = VideoFiles(tmp_path / "video" / "clip-01234567", ("",))
    files.folder.mkdir(parents=True)
    files.tables[0].touch()
    files.summary.write_text(json.dumps({"identity": of(clip).recorded()}))
    return files


def touch(clip: Path) -> None:
    os.utime(clip, (1, 1))


def overwrite(clip: Path) -> None:
    times = clip.stat()
    clip.write_bytes(b"others" * 99)
    os.utime(clip, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "identity", "note"),
    [
        (touch, {}, ""),
        (overwrite, {}, "other frames"),
        (touch, {"method": METHOD_VERSION + 1}, f"version {METHOD_VERSION} of the method"),
        (touch, {"boxes": (BOX, BOX)}, "another first box"),
        (touch, {"settings": "others"}, "other settings or weights"),
        (touch, {"part": {"start": "frame 2"}}, "another part of the video"),
        (touch, {"part": {}}, ""),
    ],
)
def test_files_of_another_identity_are_tracked_anew_with_a_note(
    done: VideoFiles,
    clip: Path,
    change: Callable[[Path], None],
    identity: dict[str, Any],
    note: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change(clip)
    assert done.found(of(clip, **identity)) == (None if note else done.folder)
    err = capsys.readouterr().err
    assert note in err
    assert err.count("\n") == bool(note)


def test_files_from_before_there_was_an_identity_are_kept_with_a_note(
    done: VideoFiles, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done.summary.write_text("{}")
    assert done.found(of(clip)) == done.folder
    assert "no record of the version of the method; it is kept" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_video_whose_summary_is_damaged_is_tracked_anew(
    done: VideoFiles, clip: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done.summary.write_text(text)
    assert done.found(of(clip)) is None
    assert "tracked anew (its summary is damaged)\n" in capsys.readouterr().err


def test_tables_without_their_summary_were_killed_before_it(done: VideoFiles, clip: Path) -> None:
    done.summary.unlink()
    assert done.found(of(clip)) is None


@pytest.mark.parametrize("same", [True, False])
def test_a_copy_of_a_video_finds_its_files(
    done: VideoFiles, clip: Path, tmp_path: Path, same: bool
) -> None:
    copy = tmp_path / "copy.mp4"
    shutil.copyfile(clip, copy)
    if not same:
        overwrite(copy)
    elsewhere = VideoFiles(tmp_path / "video" / "clip-89abcdef", ("",))
    assert elsewhere.found(of(copy)) == (done.folder if same else None)
    wanted = VideoFiles(elsewhere.folder, ("",), ("overlay",))
    assert wanted.found(of(copy)) is None  # it is not there
