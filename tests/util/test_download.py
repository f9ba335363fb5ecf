import contextlib
import hashlib
import random
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from hcft_jax.util import download
from hcft_jax.util.errors import InputError
from tests import damage
from tests.server import Behaviour, serving


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_RETRY_WAIT", 0.0)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[Behaviour]:
    with serving(random.Random(0).randbytes(10_000), "data.bin") as behaviour:
        yield behaviour


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "data.bin"


def fetch(server: Behaviour, path: Path) -> Path:
    download.download(server.url, path, server.checksum)
    return path


def part_of(server: Behaviour, path: Path, content: bytes) -> Path:
    """What an interrupted download has left."""
    part = path.with_name(f"{server.digits}.part")
    part.parent.mkdir()
    part.write_bytes(content)
    return part


def assert_fetched(server: Behaviour, path: Path) -> None:
    assert path.read_bytes() == server.content
    assert sorted(file.name for file in path.parent.iterdir()) == ["data.bin"]


def test_a_file_is_fetched(server: Behaviour, path: Path) -> None:
    assert_fetched(server, fetch(server, path))
    assert server.requests == [None]


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_checksum_may_be_its_first_digits(server: Behaviour, path: Path, algorithm: str) -> None:
    digits = hashlib.new(algorithm, server.content).hexdigest()
    with pytest.raises(InputError, match=f"another checksum than {algorithm}:{digits[1:9]}"):
        download.download(server.url, path, f"{algorithm}:{digits[1:9]}")
    download.download(server.url, path, f"{algorithm}:{digits[:8]}")
    assert_fetched(server, path)


def test_a_broken_download_is_resumed(server: Behaviour, path: Path) -> None:
    server.cuts = [1000, 2000]
    assert_fetched(server, fetch(server, path))
    assert server.requests == [None, "bytes=1000-", "bytes=3000-"]


def test_the_next_call_resumes(server: Behaviour, path: Path) -> None:
    server.cuts = [100] * 5
    with pytest.raises(InputError, match=r"failed 5 times \(500 of .* received\).*to resume"):
        fetch(server, path)
    assert_fetched(server, fetch(server, path))
    assert server.requests[5:] == ["bytes=500-"]


def test_a_server_without_ranges_sends_everything_again(server: Behaviour, path: Path) -> None:
    server.ranges, server.cuts = False, [1000]
    assert_fetched(server, fetch(server, path))
    assert server.requests == [None, "bytes=1000-"]


@pytest.mark.parametrize("surplus", [0, 10])
def test_a_part_too_long_is_started_over(server: Behaviour, path: Path, surplus: int) -> None:
    part_of(server, path, b"x" * (len(server.content) + surplus))
    assert_fetched(server, fetch(server, path))
    assert server.requests[1:] == [None]


def test_a_part_of_another_file_is_started_over(server: Behaviour, path: Path) -> None:
    part_of(server, path, b"x" * 1000)
    assert_fetched(server, fetch(server, path))
    assert server.requests == ["bytes=1000-", None]


def test_a_complete_part_is_not_downloaded_again(server: Behaviour, path: Path) -> None:
    part_of(server, path, server.content)
    assert_fetched(server, fetch(server, path))
    assert server.requests == []


def test_a_length_too_large_does_no_harm(server: Behaviour, path: Path) -> None:
    server.length = len(server.content) + 1000
    assert_fetched(server, fetch(server, path))


def test_a_length_too_small_is_an_error(server: Behaviour, path: Path) -> None:
    server.length = len(server.content) - 1000
    with pytest.raises(InputError, match="another checksum"):
        fetch(server, path)


def test_a_web_page_instead_of_the_file_is_an_error(server: Behaviour, path: Path) -> None:
    checksum, server.content = server.checksum, b"<html>Log in</html>"
    server.content_type = "text/html"
    with pytest.raises(InputError, match=rf"\(text/html\) has another checksum than {checksum}"):
        download.download(server.url, path, checksum)
    assert not list(path.parent.glob("*.part"))


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_not_repeated(server: Behaviour, path: Path, status: int) -> None:
    server.statuses = [status] * 2
    with pytest.raises(InputError, match=f"data.bin: HTTP status {status}"):
        fetch(server, path)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_in_trouble_is_asked_again(server: Behaviour, path: Path, status: int) -> None:
    server.statuses = [status] * 2
    assert_fetched(server, fetch(server, path))


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_a_server_that_does_not_answer_is_asked_again(
    server: Behaviour, path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(download, "_TIMEOUT", 0.2)
    server.silences = [seconds] * 2
    assert_fetched(server, fetch(server, path))
    assert len(server.requests) == 3


@pytest.mark.parametrize("converting", [False, True])
def test_simultaneous_fetches_download_once(
    server: Behaviour, path: Path, converting: bool
) -> None:
    converted: list[Path] = []
    done: list[Path] = []

    def convert(part: Path) -> None:
        converted.append(part)
        path.write_bytes(part.read_bytes())

    def target() -> None:
        hook = convert if converting else None
        download.download(server.url, path, server.checksum, convert=hook)
        done.append(path)

    fetchers = [threading.Thread(target=target) for _ in range(4)]
    for thread in fetchers:
        thread.start()
    for thread in fetchers:
        thread.join()
    assert_fetched(server, path)
    assert (len(done), len(converted), len(server.requests)) == (4, int(converting), 1)


def test_what_is_there_is_not_downloaded_again(server: Behaviour, path: Path) -> None:
    for _ in range(2):
        assert_fetched(server, fetch(server, path))
    assert len(server.requests) == 1


def test_a_folder_can_be_made_of_the_download(server: Behaviour, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "data"

    def unpack(part: Path) -> None:
        folder.mkdir()
        (folder / "content").write_bytes(part.read_bytes())

    for _ in range(2):
        download.download(server.url, folder, server.checksum, convert=unpack)
    assert (folder / "content").read_bytes() == server.content
    assert sorted(file.name for file in folder.parent.iterdir()) == ["data"]
    assert len(server.requests) == 1


def test_a_conversion_that_fails_keeps_the_download(server: Behaviour, path: Path) -> None:
    def convert(part: Path) -> None:
        raise InputError(f"{part}: of no use")

    with pytest.raises(InputError, match="of no use"):
        download.download(server.url, path, server.checksum, convert=convert)
    assert_fetched(server, fetch(server, path))
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["data.bin", "nothing://x/data.bin", "http://127.0.0.1:x/data.bin"])
def test_an_unusable_address_is_an_error(path: Path, url: str) -> None:
    with pytest.raises(InputError, match=r"data\.bin'?: (not a usable address|cannot connect)"):
        download.download(url, path, "md5:" + "0" * 32)


def test_a_folder_that_is_a_file_is_an_error(path: Path) -> None:
    path.parent.write_text("")
    with pytest.raises(InputError, match="cache: cannot write there"):
        download.download("http://127.0.0.1:1/data.bin", path, "md5:" + "0" * 32)


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/x", "FTP://127.0.0.1/x", "file:///etc/passwd"])
def test_no_other_protocol_is_followed(server: Behaviour, path: Path, target: str) -> None:
    server.redirect = target
    with pytest.raises(InputError, match=r"data\.bin: .*(refused, it redirects to|not allowed)"):
        fetch(server, path)
    assert len(server.requests) == 1


def test_a_redirect_to_http_is_followed_but_not_from_https(server: Behaviour, path: Path) -> None:
    with serving(b"", "moved") as first:
        first.redirect = server.url
        download.download(first.url, path, server.checksum)
    assert_fetched(server, path)
    request = urllib.request.Request("https://127.0.0.1/x")
    with pytest.raises(InputError, match="no HTTP from HTTPS"):
        download._Redirects().redirect_request(request, None, 302, "", {}, server.url)


@pytest.mark.parametrize("answer", [b"\n", b"odd\x1b[2J" * 99, b"HTTP/1.1 404 \x1b[2J\xff\r\n\r\n"])
def test_what_a_server_says_is_one_short_line(answer: bytes, path: Path) -> None:
    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(10_000)
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/data.bin"
        with pytest.raises(InputError, match=r"data\.bin: ") as error:
            download.download(url, path, "md5:" + "0" * 32)
        listening.shutdown(socket.SHUT_RDWR)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 250


@pytest.mark.parametrize("what", ["headers", "body", "chunks"])
def test_a_server_that_sends_hardly_anything_is_given_up(
    server: Behaviour, path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_WINDOW", 0.3)
    server.drip = what
    with pytest.raises(InputError, match=r"data\.bin: given up, the server sent less than"):
        fetch(server, path)
    assert len(server.requests) == 1


@pytest.mark.parametrize("suffix", [".part", ".lock"])
def test_a_pipe_in_the_place_of_an_own_file_is_refused(
    server: Behaviour, path: Path, suffix: str
) -> None:
    own = path.with_name(f"{server.digits}.part") if suffix == ".part" else path.with_suffix(suffix)
    own.parent.mkdir()
    damage.no_file(own, "pipe")
    with pytest.raises(InputError, match=rf"\{suffix}: a named pipe"):
        download.download(server.url, path, server.checksum)
