"""What a user names as a video, or as several."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from hcft_jax.data import wanted
from hcft_jax.data.wanted import ImageList
from hcft_jax.util.errors import InputError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (
        *("shots/img_0001.jpg", "shots/img_0002.jpg", "shots/img_0010.jpg", "shots/note.md"),
        *("clips/b10.mp4", "clips/b9.MOV", "clips/.hidden.mp4", "clips/read.me"),
        *("both/a.png", "both/a.mp4", "few/f8.png", "few/f9.png", "few/f10.png", "a,b.jpg"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "list.txt").write_text("# two clips\nclips/b9.MOV\n\nclips/b10.mp4\n")
    return tmp_path


def shown(source: wanted.Source) -> str | list[str]:
    return [p.name for p in source.paths] if isinstance(source, ImageList) else Path(source).name


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("shots", [["img_0001.jpg", "img_0002.jpg", "img_0010.jpg"]]),
        ("few", [["f8.png", "f9.png", "f10.png"]]),
        ("few/f%d.png", [["f8.png", "f9.png", "f10.png"]]),
        ("few/*.png", [["f8.png", "f9.png", "f10.png"]]),
        ("few/f[89].png", [["f8.png", "f9.png"]]),
        ("few/f10.png,few/f8.png,", [["f10.png", "f8.png"]]),
        ("both", [["a.png"]]),
        ("clips", ["b9.MOV", "b10.mp4"]),
        ("clips/*", ["b9.MOV", "b10.mp4"]),
        ("clips/b10.mp4, both/a.mp4", ["b10.mp4", "a.mp4"]),
        ("@list.txt", ["b9.MOV", "b10.mp4"]),
        ("~/clips/b10.mp4", ["b10.mp4"]),
        ("a,b.jpg", ["a,b.jpg"]),
        ("0", ["0"]),
        ("rtsp://cam/a,b?x=*", ["a,b?x=*"]),
        (0, ["0"]),
    ],
)
def test_what_is_named_is_found(
    folder: Path, named: str | int, found: list[str | list[str]]
) -> None:
    assert [shown(source) for source in wanted.find(named)] == found


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("absent.mp4", r"absent\.mp4: no such file, folder or camera"),
        ("x" * 300, "no such file, folder or camera"),
        ("shots/img_%04d.jpg", r"number 3 is missing; .* name them as shots/img_\*\.jpg"),
        ("shots/%d.jpg", r"shots/%d\.jpg: no such file in shots"),
        ("no/%d.jpg", r"no/%d\.jpg: cannot list the folder"),
        ("few/f%d_%d.png", "more than one %d"),
        ("shots/*.md", r"no picture or video matches \(1 files that are neither"),
        ("no/*.jpg", r"no/\*\.jpg: no picture or video matches"),
        ("both/*", "both .*; name pictures or videos"),
        ("few/f8.png,few/f7.png", r"no such file as few/f7\.png"),
        ("@absent.txt", r"absent\.txt: cannot read it"),
        ("@wrong.txt", r"wrong\.txt, line 2: no such file as b\.mp4"),
        ("@none.txt", r"none\.txt: lists no file"),
    ],
)
def test_what_is_not_there_is_one_line(folder: Path, named: str, message: str) -> None:
    (folder / "wrong.txt").write_text("few/f8.png\nb.mp4\n")
    (folder / "none.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match=message):
        wanted.find(named)


def test_a_folder_is_in_the_order_of_a_pattern(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever order the system lists a folder in."""
    listed: Callable[[Path], itertools.chain[Path]] = Path.iterdir  # type: ignore[assignment]
    monkeypatch.setattr(Path, "iterdir", lambda path: sorted(listed(path), reverse=True))
    (by_folder,), (by_pattern,) = wanted.find("few"), wanted.find("few/f%d.png")
    assert isinstance(by_folder, ImageList)
    assert isinstance(by_pattern, ImageList)
    assert by_folder.paths == by_pattern.paths
