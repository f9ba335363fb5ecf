import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hcft_jax.util import files
from hcft_jax.util.errors import InputError, StorageError
from hcft_jax.util.files import replacing


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "result.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert (temporary.parent, temporary.suffix) == (path.parent, ".txt")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_changes_nothing(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    path = tmp_path / "result.txt"
    path.write_text("former")

    def write() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise interruption

    with pytest.raises(interruption):
        write()
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]


def test_what_an_interruption_leaves_is_kept_where_it_is_told(tmp_path: Path) -> None:
    path, partial = tmp_path / "a.csv", tmp_path / "partial" / "a.csv"

    def write(text: str) -> None:
        with replacing(path, partial) as temporary:
            temporary.write_text(text)
            raise KeyboardInterrupt

    for text in ("", "half"):  # nothing is not kept
        with pytest.raises(KeyboardInterrupt):
            write(text)
        assert partial.exists() == bool(text)
    assert partial.read_text() == "half"
    assert not path.exists()
    with replacing(path, partial) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert not partial.exists()


def test_others_may_read_the_file_as_any_other(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        with replacing(tmp_path / "result.txt"):
            pass
    finally:
        os.umask(mask)
    assert (tmp_path / "result.txt").stat().st_mode & 0o777 == 0o644


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    with (
        pytest.raises(InputError, match=r"result\.txt: not written \(No space left"),
        replacing(path),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/below: cannot write there"):
        replacing(tmp_path / "file" / "below" / "result.txt").__enter__()


def test_files_of_dead_processes_are_removed_and_no_others(
    tmp_path: Path,
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        dead = process.pid
    here = files._here()
    gone = [f".{here}-{dead}-abcd1234.tmp.txt", f".{here}-{dead}-abcd1234.tmp"]
    old = [f".0123abcd-{dead}-abcd1234.tmp.txt", ".abcd1234.tmp.npz"]
    kept = [f".{here}-{os.getpid()}-abcd1234.tmp.txt", f".{here}-1-abcd1234.tmp.txt"]
    kept += ["abcd1234.tmp.txt", ".hidden", ".tmp.txt", f".{here}-{dead}-result.txt"]
    below = tmp_path / "below"
    below.mkdir()
    for name in [*gone, *old, *kept]:
        (below / name).touch()
    assert files.reclaim(tmp_path, below=False) == 0
    assert files.reclaim(tmp_path) == len(gone)
    assert {path.name for path in below.iterdir()} == {*old, *kept}
    os.utime(below / old[0], (0, 0))
    os.utime(below / old[1], (0, 0))
    assert files.reclaim(tmp_path) == len(old)
    assert {path.name for path in below.iterdir()} == set(kept)


def test_whoever_writes_to_a_folder_tidies_it_first(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        dead = process.pid
    left = tmp_path / f".{files._here()}-{dead}-abcd1234.tmp.txt"
    left.touch()
    with replacing(tmp_path / "result.txt") as temporary:
        assert files._TEMPORARY.fullmatch(temporary.name)
    assert [path.name for path in tmp_path.iterdir()] == ["result.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_place_that_takes_no_more_is_no_fault_of_one_file(tmp_path: Path, number: int) -> None:
    with pytest.raises(StorageError), replacing(tmp_path / "result.txt"):
        raise OSError(number, os.strerror(number))
    with pytest.raises(InputError) as other, replacing(tmp_path / "result.txt"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert not isinstance(other.value, StorageError)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "absent", "a.txt/b"])
def test_what_cannot_be_there_is_not_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.txt").touch()
    path = f"{tmp_path}/{name}"
    assert (files.exists(path), files.is_file(path), files.is_dir(path)) == (False, False, False)
    assert files.is_file(tmp_path / "a.txt")
    assert files.is_dir(tmp_path)


def test_what_is_discarded_takes_empty_folders_with_it(tmp_path: Path) -> None:
    one, other = tmp_path / "a" / "b" / "1.txt", tmp_path / "a" / "2.txt"
    one.parent.mkdir(parents=True)
    one.touch()
    other.touch()
    files.discard(one, tmp_path)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["2.txt"]
    files.discard(one, tmp_path)
    files.discard(other, tmp_path)
    assert tmp_path.is_dir()
    assert not list(tmp_path.iterdir())


def test_a_lock_is_held_by_one_at_a_time_and_is_gone_at_the_end(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "new" / "own.lock", [], []

    def work(number: int) -> None:
        with files.locked(path):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.002)
            inside.remove(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    assert most == [1] * 40
    assert not list(path.parent.iterdir())


def test_who_waits_for_a_lock_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.lock"

    def other() -> None:
        with files.locked(path, "waiting"):
            pass

    with ThreadPoolExecutor(1) as pool:
        with files.locked(path, "waiting"):
            waits = pool.submit(other)
            while not (said := capsys.readouterr().err):
                time.sleep(0.001)
        waits.result()
    assert said == "waiting\n"


def test_what_is_left_of_a_text_has_whole_lines(tmp_path: Path) -> None:
    path, partial = tmp_path / "boxes.csv", tmp_path / "partial" / "boxes.csv"

    def write() -> None:
        with files.lines(path, partial) as file:
            file.write("1,2\n3,4\n5")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StorageError):
        write()
    assert not path.exists()
    assert partial.read_text() == "1,2\n3,4\n"
