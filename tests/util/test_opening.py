"""Only regular files are opened, none that is too large, and nothing is waited for."""

import os
import zipfile
from pathlib import Path

import pytest

from hcft_jax.util import opening
from hcft_jax.util.errors import InputError
from tests import damage


@pytest.mark.parametrize("kind", damage.NO_FILES)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = damage.no_file(tmp_path / "0001.jpg", kind)
    with pytest.raises(InputError, match=r"0001\.jpg: a (named pipe|device|socket), not a regular"):
        opening.content(path, 100)


def test_a_pipe_behind_a_link_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.txt").symlink_to("pipe")
    with pytest.raises(InputError, match=r"a\.txt: a named pipe"):
        opening.content(tmp_path / "a.txt", 100)


def test_a_file_behind_a_link_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"text")
    (tmp_path / "b").symlink_to("a")
    assert opening.content(tmp_path / "b", 4) == b"text"


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.truncate(1 << 40)  # without a byte on the disk
    with pytest.raises(InputError, match="too large for its kind, at most 512 MiB"):
        opening.content(tmp_path / "a", opening.IMAGE)


def test_folders_and_missing_files_are_errors_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        opening.content(tmp_path, 100)
    with pytest.raises(FileNotFoundError):
        opening.content(tmp_path / "absent", 100)


def test_a_name_with_a_nul_is_no_path() -> None:
    with pytest.raises(InputError, match="not a path"):
        opening.content("a\0b", 100)


def test_a_file_that_does_not_tell_its_size_is_bounded_too() -> None:
    path = Path("/proc/self/maps")
    if not path.exists():
        pytest.skip("no /proc")
    assert len(opening.content(path, 1 << 20)) > 100
    with pytest.raises(InputError, match="too large"):
        opening.content(path, 10)


@pytest.mark.parametrize("zip64", [False, True])
def test_an_archive_of_millions_of_entries_is_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zip64: bool
) -> None:
    if zip64:
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 10)
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(100):
            archive.writestr(f"{index}.npy", b"")
    with opening.zipped(path, opening.WEIGHTS) as archive:
        assert len(archive.namelist()) == 100
    monkeypatch.setattr(opening, "_DIRECTORY", 100 * 46)  # an entry has 46 bytes and its name
    with (
        pytest.raises(InputError, match=r"a\.npz: has too many entries"),
        opening.zipped(path, opening.WEIGHTS),
    ):
        pass
