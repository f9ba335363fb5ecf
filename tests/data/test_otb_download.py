"""Fetching OTB from a server on this machine that breaks off, lies, and serves hostile archives."""

import io
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hcft_jax.data import datasets, otb_download, unpacking
from hcft_jax.util import download, opening
from hcft_jax.util.errors import InputError, StorageError
from tests import damage
from tests.commands import call
from tests.server import Behaviour, serving

Entries = dict[str, bytes | str]


def jpeg(value: int) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(value).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def sequence(name: str, frames: int = 4, top: str | None = None) -> Entries:
    top = f"{name}/" if top is None else top
    images: Entries = {f"{top}img/{i:04d}.jpg": jpeg(i) for i in range(1, frames + 1)}
    return images | {f"{top}groundtruth_rect.txt": "3,4,10,12\n" * frames}


def pack(entries: Entries) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_RETRY_WAIT", 0.0)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[Behaviour]:
    with serving(b"", "") as behaviour:
        names = ("Deer", "Girl", "Human4")
        behaviour.files = {f"{name}.zip": pack(sequence(name)) for name in names}
        yield behaviour


def run(server: Behaviour, folder: Path, *sequences: str) -> int:
    wanted = f"--sequences={','.join(sequences)}"
    return call(otb_download, "otb", wanted, f"--output_dir={folder}", f"--url={server.url}")


def everything(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_sequences_are_fetched_and_can_be_tracked(
    server: Behaviour, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, tmp_path / "OTB", "deer", "Girl") == 0
    assert [target.name for target in datasets.find(tmp_path / "OTB")] == ["Deer", "Girl"]
    assert everything(tmp_path / "OTB") == set(sequence("Deer")) | set(sequence("Girl"))
    assert f"2 targets: {tmp_path / 'OTB'}" in capsys.readouterr().out
    (target,) = datasets.find(tmp_path / "OTB", names=["Deer"])
    np.testing.assert_array_equal(target.load().boxes, [[2, 3, 10, 12]] * 4)


def test_what_is_there_is_kept(
    server: Behaviour, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert run(server, tmp_path, "Deer") == 0
    assert len(server.requests) == 1
    assert "Deer: kept" in capsys.readouterr().err


def test_a_download_that_breaks_off_is_resumed(server: Behaviour, tmp_path: Path) -> None:
    server.cuts = [100] * 5
    assert run(server, tmp_path, "Deer", "Girl") == 1
    assert (tmp_path / "Girl").is_dir()
    assert not (tmp_path / "Deer").exists()
    assert run(server, tmp_path, "Deer") == 0
    assert server.requests[:5] == [None, *(f"bytes={n}00-" for n in range(1, 5))]
    assert server.requests[-1] == "bytes=500-"
    assert everything(tmp_path) == set(sequence("Deer")) | set(sequence("Girl"))


@pytest.mark.parametrize("lie", [1000, -1000])
def test_a_wrong_length_leaves_no_broken_sequence(
    server: Behaviour, tmp_path: Path, lie: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server.files is not None
    server.length = len(server.files["Deer.zip"]) + lie
    # too long: the connection ends early, and what came is whole; too short: something is missing
    assert run(server, tmp_path, "Deer") == (0 if lie > 0 else 1)
    assert (tmp_path / "Deer").exists() == (lie > 0)
    assert ("is no whole zip file" in capsys.readouterr().err) == (lie < 0)


def test_a_server_that_sends_without_end_is_cut_off(
    server: Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "ARCHIVE", 1000)
    with pytest.raises(InputError, match=r"Deer\.zip: \d+ bytes are too many, at most 1000"):
        otb_download.fetch("Deer", tmp_path, server.url)
    server.length = 900
    assert server.files is not None
    with pytest.raises(InputError, match="is no whole zip file"):
        otb_download.fetch("Deer", tmp_path, server.url)
    assert not everything(tmp_path)


def test_a_page_and_an_absent_file_are_one_line_each(
    server: Behaviour, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server.files is not None
    server.files["Girl.zip"] = b"<html>Moved</html>"
    assert run(server, tmp_path, "Bolt", "Girl", "Deer") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "HTTP status 404" in lines[0]
    assert "is no whole zip file; is it the page of a proxy or a login?" in lines[1]
    assert lines[2:] == ["error: 2 failed: Bolt, Girl"]
    assert (tmp_path / "Deer").is_dir()


def with_mode(name: str, mode: int, content: str = "/etc/passwd") -> bytes:
    file = io.BytesIO(pack(sequence("Deer")))
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, content)
    return file.getvalue()


def damaged() -> bytes:
    """A bit of a frame is wrong, stored as it is: the archive's checksum tells."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, entry in sequence("Deer").items():
            archive.writestr(name, entry)
    content = bytearray(file.getvalue())
    content[content.index(jpeg(2)) + 50] ^= 1
    return bytes(content)


def encrypted() -> bytes:
    content = bytearray(pack(sequence("Deer")))
    content[6] |= 1  # of the first entry, and the same in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


HOSTILE = {
    "parent": (pack(sequence("Deer") | {"../evil.txt": "x"}), "is no path inside"),
    "deep parent": (pack(sequence("Deer") | {"Deer/img/../../../evil": "x"}), "is no path inside"),
    "absolute": (pack(sequence("Deer") | {"/tmp/evil.txt": "x"}), "is no path inside"),
    "drive": (pack(sequence("Deer") | {"C:/evil.txt": "x"}), "is no path inside"),
    "backslash": (pack(sequence("Deer") | {"..\\evil.txt": "x"}), "is no path inside"),
    "link": (with_mode("Deer/link", stat.S_IFLNK | 0o777), "is a link or a device"),
    "linked folder": (with_mode("Deer/img", stat.S_IFLNK | 0o777), "is a link or a device"),
    "fifo": (with_mode("Deer/fifo", stat.S_IFIFO | 0o666), "is a link or a device"),
    "bomb": (pack(sequence("Deer") | {"Deer/zeros": b"\0" * (8 << 20)}), "too many for a picture"),
    "device": (pack(sequence("Deer") | {"Deer/con.txt": b"x"}), "is no name on every system"),
    "other device": (pack(sequence("Deer") | {"Com1/x": b"x"}), "is no name on every system"),
    "device and blank": (pack(sequence("Deer") | {"NUL .txt": b"x"}), "is no name on every"),
    "last blank": (pack(sequence("Deer") | {"Deer /a.txt": b"x"}), "is no name on every system"),
    "last dot": (pack(sequence("Deer") | {"Deer/a.txt.": b"x"}), "is no name on every system"),
    "last dots": (pack(sequence("Deer") | {"Deer/.../a": b"x"}), "is no name on every system"),
    "long": (pack(sequence("Deer") | {"Deer/" + "x" * 250: b"x"}), "is no name on every system"),
    "delete": (pack(sequence("Deer") | {"Deer/a\x7f": b"x"}), "is no path inside"),
    "accents": (pack({"D\u00e9/a": b"x", "De\u0301/b": b"x"}), "on some systems"),
    "sharp s": (pack({"stra\u00dfe": b"x", "STRASSE": b"x"}), "on some systems"),
    "file and folder": (pack({"Deer": b"x", "deer/b": b"x"}), "two entries are"),
    "same name": (pack(sequence("Deer") | {"deer/IMG/0001.jpg": jpeg(9)}), "two entries are"),
    "encrypted": (encrypted(), "is encrypted"),
    "damaged": (damaged(), "cannot be unpacked"),
    "another sequence": (pack(sequence("Bolt")), "no sequence Deer in the archive"),
    "no sequence": (pack({"readme.txt": "hello"}), "no sequence"),
    "frames missing": (
        pack({k: v for k, v in sequence("Deer").items() if "0003" not in k}),
        "frame 3 is missing",
    ),
    "no pictures": (
        pack({k: "text" if "jpg" in k else v for k, v in sequence("Deer").items()}),
        "not an image (JPEG, ",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_refused(
    server: Behaviour, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server.files is not None
    server.files["Deer.zip"], message = HOSTILE[kind]
    folder = tmp_path / "inner" / "OTB"
    assert run(server, folder, "Deer", "Girl") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in lines[0]
    assert "Traceback" not in lines[0]
    # nothing of it is left, nothing got out, and the other sequence is there
    assert everything(tmp_path) == {f"inner/OTB/{name}" for name in sequence("Girl")}
    server.files["Deer.zip"] = pack(sequence("Deer"))
    assert run(server, folder, "Deer") == 0


@pytest.mark.parametrize("limit", [{"files": 3}, {"size": 500}])
def test_an_archive_of_too_much_is_refused(tmp_path: Path, limit: dict[str, int]) -> None:
    (tmp_path / "a.zip").write_bytes(pack(sequence("Deer")))
    with pytest.raises(InputError, match="at most"):
        unpacking.unpack(tmp_path / "a.zip", tmp_path / "out", unpacking.Limits(**limit))
    assert not (tmp_path / "out").exists()


def test_an_entry_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    content = bytearray(pack({"zeros": b"\0" * (64 << 20)}))
    where = content.index(b"PK\x01\x02")
    content[where + 24 : where + 28] = (1000).to_bytes(4, "little")  # in the directory
    content[22:26] = (1000).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpacking.unpack(tmp_path / "a.zip", tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*")) <= 1000


def test_what_systems_add_is_left_out(server: Behaviour, tmp_path: Path) -> None:
    clutter: Entries = {"__MACOSX/Deer/._0001.jpg": "x", "Deer/.DS_Store": "x", "Deer/img/": ""}
    assert server.files is not None
    server.files["Deer.zip"] = pack(clutter | sequence("Deer"))
    assert run(server, tmp_path, "Deer") == 0
    assert everything(tmp_path) == set(sequence("Deer"))


def test_an_archive_without_its_own_folder_gets_one(server: Behaviour, tmp_path: Path) -> None:
    assert server.files is not None
    server.files["Deer.zip"] = pack(sequence("Deer", top=""))
    assert run(server, tmp_path, "Deer") == 0
    assert everything(tmp_path) == set(sequence("Deer"))


def test_a_video_of_which_one_target_has_no_truth_is_fetched(
    server: Behaviour, tmp_path: Path
) -> None:
    entries = sequence("Human4")
    entries["Human4/groundtruth_rect.2.txt"] = entries.pop("Human4/groundtruth_rect.txt")
    entries["Human4/groundtruth_rect.1.txt"] = ""  # as in the benchmark
    assert server.files is not None
    server.files["Human4.zip"] = pack(entries)
    assert run(server, tmp_path, "Human4-2") == 0
    assert everything(tmp_path) == set(entries)


def test_names_are_those_of_the_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert otb_download.videos([]) == list(otb_download.OTB)
    assert otb_download.videos(["jogging-1", "Jogging.2", "deer"]) == ["Jogging", "Deer"]
    assert call(otb_download, "--sequences=Dear") == 2
    assert "error: --sequences: no 'Dear' in OTB-100 (did you mean Deer" in capsys.readouterr().err


@given(st.binary(max_size=300))
def test_any_bytes_are_an_archive_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("zip")
    whole = pack({"a/b.txt": "hello"})
    for number, data in enumerate((content, whole[: len(content)] + content, content + whole)):
        path = folder / f"{number}.zip"
        path.write_bytes(data)
        unpacking.is_whole(path)
        try:
            unpacking.unpack(path, folder / str(number))
        except InputError:
            continue


def test_an_archive_that_is_no_file_is_refused(tmp_path: Path) -> None:
    path = damage.no_file(tmp_path / "Deer.zip", "pipe")
    assert not unpacking.is_whole(path)
    with pytest.raises(InputError, match=r"Deer\.zip: a named pipe"):
        unpacking.unpack(path, tmp_path / "to")


def test_what_a_kill_has_left_beside_a_finished_sequence_is_removed(
    server: Behaviour, tmp_path: Path
) -> None:
    assert run(server, tmp_path, "Deer") == 0
    (tmp_path / ".download" / "Deer.unpacked" / "all").mkdir(parents=True)
    for name in ("Deer.zip", "Deer.zip.part", "Deer.lock", "Girl.zip.part"):
        (tmp_path / ".download" / name).write_bytes(b"left")
    assert run(server, tmp_path, "Deer") == 0
    assert [path.name for path in (tmp_path / ".download").iterdir()] == ["Girl.zip.part"]


def test_a_full_disk_ends_the_downloads_and_keeps_the_archive(
    server: Behaviour,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def unpack(*_: object) -> None:
        raise StorageError("a.zip: cannot be unpacked (No space left on device)")

    with monkeypatch.context() as patch:
        patch.setattr(unpacking, "unpack", unpack)
        assert run(server, tmp_path, "Deer", "Girl") == 2
    assert len([line for line in capsys.readouterr().err.splitlines() if "error: " in line]) == 1
    assert everything(tmp_path) == {".download/Deer.zip"}
    requests = len(server.requests)
    assert run(server, tmp_path, "Deer") == 0
    assert len(server.requests) == requests
