"""What comes from other machines: archives, and what servers answer."""

import contextlib
import functools
import io
import os
import socket
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from hcft_jax.data import otb_download, unpacking
from hcft_jax.util import download
from tests.hostile import images
from tests.hostile.kinds import Case, Door, Rng, pick
from tests.hostile.mutations import BINARY, WORDS, add_changes, add_no_files
from tests.server import serving

ARCHIVES = Door("archives", share=6)
SERVERS = Door("servers", share=1.6)


@functools.cache
def sequence() -> dict[str, bytes]:
    """Return the files of a small sequence of OTB."""
    frame = images.saved(images.picture(size=(20, 16)), "JPEG")
    files = {f"Deer/img/{n:04d}.jpg": frame for n in range(1, 4)}
    return {**files, "Deer/groundtruth_rect.txt": b"2,3,9,8\n3,3,9,8\n4,3,9,8\n"}


def pack(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive of files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def unpacked(path: Path) -> dict[str, bytes]:
    """Unpack an archive; return the content of all files."""
    target = path.parent / "inner" / "to"
    unpacking.unpack(path, target)
    return {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if not p.is_dir()}


def _archive_case(path: Path, sound: bytes) -> Case:
    before = {str(p) for p in path.parent.rglob("*")}

    def judge(answer: dict[str, bytes]) -> str:
        strays = {str(p) for p in path.parent.rglob("*")} - before
        if odd := [p for p in strays if not p.startswith(str(path.parent / "inner"))]:
            return f"it writes {odd}"
        with zipfile.ZipFile(path) as archive:
            there = {str(PurePosixPath(info.filename)): info for info in archive.infolist()}
            for name, content in answer.items():
                if archive.read(there[name]) != content:
                    return f"{name!r} has another content"
        return ""

    return Case(lambda: unpacked(path), judge, (path.name,))


def _archive(rng: Rng, folder: Path) -> tuple[str, bytes]:
    return "Deer.zip", pack(sequence(), int(pick(rng, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))))


add_changes(ARCHIVES, BINARY, _archive, _archive_case)
add_no_files(ARCHIVES, _archive, _archive_case)


@ARCHIVES.kind("A name that leads out of the folder, or is none on some system.")
def names(rng: Rng, folder: Path) -> Case:
    odd = ("../evil", "/tmp/evil-hostile", "a/../../evil", "C:/evil", "..\\evil", "a\\..\\..\\e",
        "~/evil", "/",
           ".", "..", "a/./b", "a//b", "con", "NUL.txt", "com1.jpg", "lpt\u00b9", "aux .x", "a.",
           "a ", "a\tb", "a\nb",
           "a\0b", "a:b", "a*b", "a?", "a<b", "a|b", '"', "x" * 300, "x/" * 2000 + "y",
           "\u202e.gpj", "\ud7ff",
           "-rf", "$(id)", "%2e%2e/evil", "..%c0%af", "\uff0e\uff0e/evil", "Deer/img",
           "Deer/img/0001.jpg/x")  # fmt: skip
    files = {**sequence(), str(pick(rng, odd)): b"x"}
    path = folder / "Deer.zip"
    path.write_bytes(pack(files))
    return _archive_case(path, b"")


@ARCHIVES.kind("Two names that are one file where case, accents or widths do not count.")
def twins(rng: Rng, folder: Path) -> Case:
    pairs = (("Deer/a", "deer/b"), ("a", "A"), ("D\u00e9/a", "De\u0301/b"), ("stra\u00dfe",
        "STRASSE"), ("\u212a", "k"),
             ("\ufb01", "fi"), ("Deer", "Deer/img"), ("a/b", "a"), ("\uff21", "A"), ("\u0130",
             "i\u0307"))  # fmt: skip
    path = folder / "Deer.zip"
    path.write_bytes(pack(dict.fromkeys(pick(rng, pairs), b"x")))
    return Case(lambda: unpacked(path), lambda _: "both are unpacked", (path.name,))


@ARCHIVES.kind("An entry that is a link, a device, encrypted, or in a rare compression.")
def entries(rng: Rng, folder: Path) -> Case:
    path = folder / "Deer.zip"
    modes = (stat.S_IFLNK | 0o777, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK, stat.S_IFBLK, 0o4755)
    file = io.BytesIO(pack(sequence()))
    method = int(pick(rng, (zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)))
    with zipfile.ZipFile(file, "a", method) as archive:
        info = zipfile.ZipInfo(str(pick(rng, ("Deer/link", "Deer/img2"))))
        info.external_attr = int(pick(rng, modes)) << 16
        archive.writestr(info, "/etc/passwd")
    content = bytearray(file.getvalue())
    if rng.integers(3) == 0:
        content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    return _archive_case(path, b"")


@ARCHIVES.kind(
    "A directory that lies: of sizes, offsets, checksums, methods or the number of entries."
)
def lies(rng: Rng, folder: Path) -> Case:
    content = bytearray(pack(sequence()))
    signature = bytes(pick(rng, (b"PK\x01\x02", b"PK\x05\x06", b"PK\x03\x04")))
    places = [at for at in range(len(content)) if content.startswith(signature, at)]
    at = int(pick(rng, places)) + int(rng.integers(4, 46 if signature[2] == 1 else 22))
    content[at : at + 4] = (int(pick(rng, WORDS)) & 0xFFFFFFFF).to_bytes(4, "little")
    path = folder / "Deer.zip"
    path.write_bytes(content)
    return _archive_case(path, b"")


@ARCHIVES.kind("A bomb: one large entry, many small ones, or many entries of the same data.")
def bombs(rng: Rng, folder: Path) -> Case:
    path, way = folder / "Deer.zip", int(rng.integers(4))
    if way == 0:
        path.write_bytes(pack({**sequence(), "zeros": bytes(50 << 20)}))
    elif way == 1:
        path.write_bytes(pack({f"{n}": b"" for n in range(51_000)}, zipfile.ZIP_STORED))
    elif way == 2:
        path.write_bytes(overlapping(800))
    else:
        path.write_bytes(pack({"a.zip": pack({"zeros": bytes(30 << 20)})}))
    return Case(
        lambda: unpacked(path),
        lambda answer: "" if sum(map(len, answer.values())) < 1 << 20 else "it is unpacked",
        (path.name,),
    )


def overlapping(count: int) -> bytes:
    """Return an archive whose entries all have the same compressed data."""
    one = pack({"0000": b"\0\1" * 300_000})
    start = one.index(b"PK\x01\x02")
    end = one.index(b"PK\x05\x06")
    entry = one[start:end]
    directory = b"".join(entry[:46] + f"{n:04d}".encode() for n in range(count))
    closing = bytearray(one[end:])
    closing[8:12] = count.to_bytes(2, "little") * 2
    closing[12:16] = len(directory).to_bytes(4, "little")
    return one[:start] + directory + bytes(closing)


@ARCHIVES.kind("Another sort of archive, or a program, by the name of a zip file.")
def other_archive(rng: Rng, folder: Path) -> Case:
    file = io.BytesIO()
    mode = str(pick(rng, ("w", "w:gz", "w:bz2", "w:xz")))
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in sequence().items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    contents = (file.getvalue(), b"Rar!\x1a\x07\x00" + bytes(99), b"7z\xbc\xaf\x27\x1c" + bytes(99),
                b"MZ" + bytes(200) + pack(sequence()), b"PK\x05\x06" + bytes(18),
                b"PK\x05\x06")  # fmt: skip
    path = folder / "Deer.zip"
    path.write_bytes(pick(rng, contents))
    return _archive_case(path, b"")


# servers

CONTENT = bytes(range(256)) * 40


def fetched(url: str, folder: Path, most: int | None = None) -> bytes:
    """Download a file whose checksum is that of ``CONTENT``."""
    import hashlib

    path = folder / "cache" / "data.bin"
    digits = hashlib.md5(CONTENT).hexdigest()
    download.download(url, path, f"md5:{digits}", most=most)
    return path.read_bytes()


def _right(answer: bytes) -> str:
    return "" if answer == CONTENT else "another content is kept"


@contextlib.contextmanager
def raw(answer: bytes, pause: float = 0.0) -> Iterator[str]:
    """Serve bytes to whoever connects, whatever they are."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                try:
                    connection, _ = server.accept()
                except (TimeoutError, OSError):
                    continue
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(2.0)
                    connection.recv(1 << 16)
                    for at in range(0, len(answer), 1 << 16):
                        connection.sendall(answer[at : at + (1 << 16)])
                        ended.wait(pause)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/data.bin"
        finally:
            ended.set()
            thread.join(3.0)


def _with_server(serve: Any, folder: Path, most: int | None = None) -> Callable[[], bytes]:
    def open_() -> bytes:
        with serve as served:
            return fetched(served if isinstance(served, str) else served.url, folder, most)

    return open_


ODD_HEADERS = (
    *(b"Content-Length: 99999999999999999999", b"Content-Length: -5", b"Content-Length: x"),
    *(b"Content-Length: 10", b"Content-Encoding: gzip", b"Content-Length: 1\r\nContent-Length: 9"),
    *(b"Transfer-Encoding: chunked", b"Content-Range: bytes 5-9/10", b"X: " + b"y" * 70_000),
    *(b"X: y\r\n" * 200, b"Content-Type: \xff\xfe", b"Set-Cookie: " + b"a" * 9000, b": :", b"\0"),
    *(
        b"Content-Length: \xd9\xa3",
        b"Connection: keep-alive",
        b"Content-Type: text/html\r\n folded",
    ),
)


@SERVERS.kind("A server whose headers contradict what it sends.")
def headers(rng: Rng, folder: Path) -> Case:
    status = bytes(pick(rng, (b"200 OK", b"206 Partial", b"200", b"203 x", b"299 y")))
    body = bytes(pick(rng, (CONTENT, CONTENT[:-1], CONTENT + b"x", b"", b"5\r\nabc")))
    answer = b"HTTP/1.1 " + status + b"\r\n" + bytes(pick(rng, ODD_HEADERS)) + b"\r\n\r\n" + body
    return Case(_with_server(raw(answer), folder), _right, ("127.0.0.1",))


@SERVERS.kind("Something that is no answer of HTTP at all.")
def no_http(rng: Rng, folder: Path) -> Case:
    answers = (b"", b"\n", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/9.9 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
               b"<html>", rng.bytes(500), b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 " + b"2" * 70_000,
               b"HTTP/1.1 999 x\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000,
               b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 x\r\n\r\n", CONTENT)  # fmt: skip
    return Case(_with_server(raw(bytes(pick(rng, answers))), folder), _right, ("127.0.0.1",))


@SERVERS.kind("Chunks that lie about their size, or never end.")
def chunked(rng: Rng, folder: Path) -> Case:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    bodies = (b"zz\r\n", b"-5\r\nabc\r\n0\r\n\r\n", b"ffffffffffffffff\r\nabc",
        b"5\r\nabc\r\n0\r\n\r\n", b"0\r\n\r\n",
              b"3;" + b"x" * 70_000, b"1\r\na\r\n" * 3000 + b"0\r\n\r\n", b"5", b"\r\n\r\n",
              b"%x\r\n" % len(CONTENT) + CONTENT + b"\r\n0\r\n\r\n")  # fmt: skip
    return Case(_with_server(raw(head + bytes(pick(rng, bodies))), folder), _right, ("127.0.0.1",))


@SERVERS.kind("A redirection to a file, another protocol, itself, or nowhere.")
def redirect(rng: Rng, folder: Path) -> Case:
    targets = ("file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/plain,abc",
        "gopher://127.0.0.1/", "",
               "http://", "//", "/data.bin", "http://127.0.0.1:1/", "javascript:1", "http://[::1",
               "\x00",
               "http://127.0.0.1:99999/", "ldap://127.0.0.1/", "HTTP://127.0.0.1:1/",
               "jar:http://x!/",
               "unix:/tmp/x", " http://127.0.0.1:1/", "http://user:pw@127.0.0.1:1/",
               "x" * 60_000)  # fmt: skip
    status = int(pick(rng, (301, 302, 303, 307, 308)))
    target = str(pick(rng, targets)).encode()
    answer = b"HTTP/1.1 %d x\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, target)
    return Case(_with_server(raw(answer), folder), _right, ("127.0.0.1",))


@SERVERS.kind("A server that breaks off, refuses, or is in trouble, and perhaps recovers.")
def unreliable(rng: Rng, folder: Path) -> Case:
    @contextlib.contextmanager
    def serve() -> Iterator[Any]:
        with serving(CONTENT, "data.bin") as behaviour:
            behaviour.cuts = [int(rng.integers(len(CONTENT))) for _ in range(int(rng.integers(9)))]
            some = (500, 502, 503, 404, 403, 401, 416, 429)
            behaviour.statuses = [int(pick(rng, some)) for _ in range(int(rng.integers(3)))]
            behaviour.ranges = bool(rng.integers(2))
            behaviour.length = pick(rng, (None, None, 5, 10**6, 10**15))
            yield behaviour

    return Case(_with_server(serve(), folder), _right, ("127.0.0.1",))


@SERVERS.kind("A part of an earlier download that is longer, of another file, or no file.")
def old_part(rng: Rng, folder: Path) -> Case:
    import hashlib

    part = folder / "cache" / f"{hashlib.md5(CONTENT).hexdigest()}.part"
    part.parent.mkdir()
    ways = (CONTENT, CONTENT[:500], CONTENT + b"x", rng.bytes(300), b"", bytes(len(CONTENT)))
    if rng.integers(4):
        part.write_bytes(bytes(pick(rng, ways)))
    else:
        os.mkfifo(part)
    return Case(_with_server(serving(CONTENT, "data.bin"), folder), _right, ("127.0.0.1", ".part"))


@SERVERS.kind("A server that sends a byte now and then, for ever.")
def drip(rng: Rng, folder: Path) -> Case:
    @contextlib.contextmanager
    def serve() -> Iterator[Any]:
        with serving(CONTENT, "data.bin") as behaviour:
            behaviour.drip = str(pick(rng, ("headers", "body", "chunks")))
            yield behaviour

    return Case(_with_server(serve(), folder), _right, ("127.0.0.1",))


@SERVERS.kind("A server that sends without an end, or more than was asked for.")
def endless(rng: Rng, folder: Path) -> Case:
    answer = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(30 << 20)
    most = int(pick(rng, (len(CONTENT), 1 << 20)))
    return Case(_with_server(raw(answer), folder, most), _right, ("127.0.0.1",))


@SERVERS.kind("An address that is none.")
def address(rng: Rng, folder: Path) -> Case:
    odd = ("", "http://", "http:///x", "file:///etc/passwd", "ftp://x/", "http://127.0.0.1:0/",
        "http://[/",
           "http://127.0.0.1:99999/", "http://a b/", "http://\u0665/", "HTTP://127.0.0.1:1/", "x",
           "http://x\n/",
           "http://127.0.0.1:1/\x00", "http://" + "a" * 300 + "/",
           "http://127.0.0.1:1/?" + "q" * 9000,
           "data:,x", "http://.../", "//x/y", "http://xn--\u00fc/", "http://%00/",
           "http://127.0.0.1:-1/")  # fmt: skip
    url = str(pick(rng, odd))
    return Case(lambda: fetched(url, folder), _right)


@SERVERS.kind("The server of a data set sends a hostile archive.")
def archive(rng: Rng, folder: Path) -> Case:
    change = BINARY[str(pick(rng, BINARY))][1]
    content = (
        pack({**sequence(), "../evil": b"x"}) if rng.integers(2) else change(rng, pack(sequence()))
    )

    def open_() -> dict[str, bytes]:
        with serving(content, "Deer.zip") as behaviour:
            place = folder / "inner" / "OTB"
            otb_download.fetch("Deer", place, behaviour.url.rpartition("/")[0])
            deer = place / "Deer"
            return {
                str(p.relative_to(place)): p.read_bytes() for p in deer.rglob("*") if p.is_file()
            }

    def judge(answer: dict[str, bytes]) -> str:
        if (folder / "inner" / "evil").exists() or (folder / "evil").exists():
            return "it writes outside"
        return "" if answer == sequence() else "it keeps other files"

    return Case(open_, judge, ("127.0.0.1", "Deer"))
