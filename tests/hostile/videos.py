"""Videos: every container and codec that FFmpeg writes here, and what is opened by such a name.

The frames are compared, not their times. Damage inside compressed data that no container or codec
has a checksum of may be invisible: ``UNDETECTABLE``.
"""

import functools
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from hcft_jax.data import video
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import silent_stderr
from tests import films
from tests.hostile import images
from tests.hostile.kinds import UNDETECTABLE, Case, Door, Rng, pick
from tests.hostile.mutations import BINARY, add_no_files, few_bits

DOOR = Door("videos", share=9, unchecked=True)

FORMS: dict[str, dict[str, Any]] = {
    "h264.mp4": {"codec": "libx264", "pixels": "yuv420p"},
    "fragments.mp4": {
        "codec": "libx264",
        "pixels": "yuv420p",
        "container_options": {"movflags": "frag_keyframe+empty_moov"},
    },
    "h264.mkv": {"codec": "libx264", "pixels": "yuv420p"},
    "h264.ts": {"codec": "libx264", "pixels": "yuv420p"},
    "h264.h264": {"codec": "libx264", "pixels": "yuv420p"},
    "hevc.mp4": {"codec": "libx265", "pixels": "yuv420p"},
    "ffv1.mkv": {"codec": "ffv1", "pixels": "bgr0"},
    "mpeg4.avi": {"codec": "mpeg4", "pixels": "yuv420p", "tick": None},
    "mjpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p", "tick": None},
    "mjpeg.mjpeg": {"codec": "mjpeg", "pixels": "yuvj420p", "tick": None},
    "mpeg2.ts": {"codec": "mpeg2video", "pixels": "yuv420p", "tick": None},
    "vp8.webm": {"codec": "libvpx", "pixels": "yuv420p"},
    "vp9.webm": {"codec": "libvpx-vp9", "pixels": "yuv420p"},
    "frames.gif": {"codec": "gif", "pixels": "rgb8", "tick": None},
}
# A format with a checksum of every compressed byte: what is changed there is always known.
CHECKED = ("ffv1.mkv",)
RAW = ("h264.h264", "mjpeg.mjpeg")


@functools.cache
def frames() -> list[npt.NDArray[np.uint8]]:
    """Return a few frames in which something moves."""
    picture = np.asarray(images.picture(size=(96, 64)))
    return [np.ascontiguousarray(np.roll(picture, 3 * t, axis=1)) for t in range(10)]


@functools.cache
def sounds() -> dict[str, bytes]:
    """Return sound videos by name, of the codecs that this FFmpeg writes."""
    found = {}
    with tempfile.TemporaryDirectory() as folder, silent_stderr():
        for name, how in FORMS.items():
            options = {key: value for key, value in how.items() if key != "tick"}
            if "tick" in how:
                from fractions import Fraction

                options["tick"] = Fraction(1, 25)
            try:
                path = films.write(Path(folder, name), frames(), **options)
            except Exception:  # this FFmpeg lacks the codec
                continue
            found[name] = path.read_bytes()
    return found


@functools.cache
def compressed(name: str) -> list[tuple[int, int]]:
    """Return where the compressed pictures of a sound video are: from and to which byte."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(sounds()[name])
        with av.open(str(path)) as container:
            (stream,) = container.streams.video
            pictures = {p.pos: bytes(p) for p in container.demux(stream) if p.size}
    content = sounds()[name]
    if name.endswith(".ts"):
        return _in_packets(content, {at for at in pictures if at is not None})
    # the position is that of a picture, or of the header before it
    starts = [(content.find(p, at), len(p)) for at, p in pictures.items() if at is not None]
    return [(at, at + size) for at, size in starts if at >= 0] or [(0, len(content))]


def _in_packets(content: bytes, firsts: set[int]) -> list[tuple[int, int]]:
    """Return the parts of compressed pictures in a transport stream.

    Args:
        content: The stream.
        firsts: Where the packets are in which a picture begins.
    """
    number = {content[at + 1] << 8 & 0x1F00 | content[at + 2] for at in firsts}
    found = []
    for at in range(0, len(content), 188):
        head = content[at : at + 4]
        if (head[1] << 8 & 0x1F00 | head[2]) in number:
            start = at + 4 + (1 + content[at + 4] if head[3] & 0x20 else 0)
            if head[1] & 0x40:  # the picture's own header
                start += 9 + content[start + 8]
            found.append((start, at + 188))
    return found


def seen(path: Path | str) -> list[npt.NDArray[np.uint8]]:
    """Return all frames of a video as the program sees them."""
    with video.opened(str(path)) as opened:
        return [moment.image for moment in opened]


@functools.cache
def expected(name: str) -> list[npt.NDArray[np.uint8]]:
    """Return the frames of a sound video."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(sounds()[name])
        return seen(path)


def compared(answer: list[npt.NDArray[np.uint8]], name: str, content: bytes) -> str:
    """Say in what frames differ from those of the sound video."""
    sound = expected(name)
    whole = content.startswith(sounds()[name])  # what follows may be frames, too
    enough = len(answer) == len(sound) or (whole and len(answer) > len(sound))
    if enough and all(map(np.array_equal, answer, sound)):
        return ""
    if invisible(answer, name, content):
        return UNDETECTABLE
    return f"{len(answer)} frames, not the {len(sound)} of the sound video, without a word"


def invisible(answer: list[npt.NDArray[np.uint8]], name: str, content: bytes) -> bool:
    """Tell whether what was changed in compressed data alone gives these frames.

    A raw stream has nothing but compressed data; elsewhere the size must be the same.
    """
    sound = sounds()[name]
    if name in CHECKED:
        return False
    if name in RAW:
        return True
    if len(content) != len(sound):
        return False
    old, new = np.frombuffer(sound, np.uint8), np.frombuffer(content, np.uint8).copy()
    changed = np.zeros(len(old), bool)
    for start, end in compressed(name):
        changed[start:end] = old[start:end] != new[start:end]
    if not changed.any():
        return False
    if np.array_equal(old != new, changed):
        return True
    new[~changed] = old[~changed]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(new.tobytes())
        try:
            found = seen(path)
        except InputError:
            return False
    return len(found) == len(answer) and all(map(np.array_equal, found, answer))


def case(path: Path, name: str) -> Case:
    """Return the case of a damaged copy of a sound video."""
    return Case(
        lambda: seen(path), lambda answer: compared(answer, name, _content(path)), (path.name,)
    )


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1 << 20)  # what follows is a hole


def _add_damage() -> None:
    for kind, (why, change) in BINARY.items():
        if kind == "as text":
            continue

        def make(rng: Rng, folder: Path, change: Any = change) -> Case:
            name = str(pick(rng, sounds()))
            path = folder / name
            path.write_bytes(change(rng, sounds()[name]))
            return case(path, name)

        DOOR.add(kind, why, make)


_add_damage()


@DOOR.kind("A few bits flip inside a compressed picture.")
def picture_bits(rng: Rng, folder: Path) -> Case:
    name = str(pick(rng, sounds()))
    path, content = folder / name, sounds()[name]
    start, end = pick(rng, compressed(name))
    path.write_bytes(content[:start] + few_bits(rng, content[start:end]) + content[end:])
    return case(path, name)


@DOOR.kind("A whole compressed picture is zeros: a packet that never came.")
def picture_zeros(rng: Rng, folder: Path) -> Case:
    name = str(pick(rng, sounds()))
    path, content = folder / name, sounds()[name]
    start, end = pick(rng, compressed(name))
    path.write_bytes(content[:start] + bytes(end - start) + content[end:])
    return case(path, name)


@DOOR.kind("A box, element or chunk has another name, size or version.")
def container_fields(rng: Rng, folder: Path) -> Case:
    name = str(pick(rng, [n for n in sounds() if not n.endswith(("h264", "mjpeg", "gif"))]))
    path, content = folder / name, bytearray(sounds()[name])
    within = compressed(name)
    outside = [at for at in range(len(content)) if not any(a <= at < b for a, b in within)]
    for _ in range(int(rng.integers(1, 4))):
        content[int(pick(rng, outside))] = int(rng.integers(256))
    path.write_bytes(content)
    return case(path, name)


@DOOR.kind("A text that makes FFmpeg open other files or addresses.")
def playlist(rng: Rng, folder: Path) -> Case:
    secret = folder / "secret.mp4"
    secret.write_bytes(sounds().get("h264.mp4") or next(iter(sounds().values())))
    texts = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n",
        f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:9,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:1/x.ts\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{secret}'\n",
        f"ffconcat version 1.0\nfile 'subfile,,start,0,end,900,,:{secret}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "<?xml version='1.0'?><MPD><Period><AdaptationSet/></Period></MPD>",
        "[playlist]\nFile1=http://127.0.0.1:1/\n",
        "plain text\n" * 50,
        "\x1b[2J\x1b[31mtext that a terminal shows\n" * 9,
        "P3\n2 2\n255\n" + "1 2 3 " * 4,
        "YUV4MPEG2 W9999999 H9999999 F25:1\nFRAME\n",
    )
    path = folder / f"clip{pick(rng, ('.mp4', '.m3u8', '.txt', '.ts', '.sdp', '', '.avi'))}"
    path.write_text(str(pick(rng, texts)))
    return Case(lambda: seen(path), lambda answer: f"{len(answer)} frames of a text", (path.name,))


@DOOR.kind("A picture or sound by the name of a video.")
def other_file(rng: Rng, folder: Path) -> Case:
    sound = str(pick(rng, images.sounds()))
    path = folder / str(pick(rng, ("clip.mp4", "clip.avi", "clip", "clip.mkv")))
    path.write_bytes(images.sounds()[sound])

    def judge(answer: list[Any]) -> str:
        return "" if len(answer) == 1 else f"{len(answer)} frames of one picture"

    return Case(lambda: seen(path), judge, (path.name,))


@DOOR.kind("A source that is no path: numbers, other protocols, devices, names of files to be.")
def odd_source(rng: Rng, folder: Path) -> Case:
    odd = ("99", "4" * 30, "٣", "ftp://127.0.0.1:1/a.mp4", "file:///etc/passwd", "", " ", "-", "..",
           "concat:a|b", "pipe:0", "data:video/mp4;base64,AAAA", "http://127.0.0.1:1/a.mp4",
           "lavfi:testsrc", "subfile,,start,0,end,9,,:/etc/passwd", "cache:http://127.0.0.1:1/",
           "rtsp://127.0.0.1:1/", "HTTP://[::1", "http://", "://", "a\0b", "x" * 5000,
           "/dev/null", "/dev/zero", "/proc/self/mem", "/etc/passwd", "/dev/stdin")  # fmt: skip
    source = str(pick(rng, odd))
    # an empty text names the folder itself
    named = (source[:20].strip() or "image", repr(source)[1:9], source.removeprefix("file://"))
    return Case(lambda: seen(source or Path()), None, named)


@DOOR.kind("A folder of pictures of which one is damaged, of another size, or no file.")
def folder_of_pictures(rng: Rng, folder: Path) -> Case:
    place = folder / "clip"
    place.mkdir()
    sound = images.saved(images.picture(), "PNG")
    for number in range(1, 6):
        (place / f"{number}.png").write_bytes(sound)
    way = int(rng.integers(5))
    third = place / "3.png"
    if way == 0:
        third.write_bytes(BINARY[str(pick(rng, BINARY))][1](rng, sound))
    elif way == 1:
        third.write_bytes(images.saved(images.picture(size=(20, 20)), "PNG"))
    elif way == 2:
        third.unlink()
        third.mkdir()
    elif way == 3:
        (place / "Thumbs.db").write_bytes(b"\0" * 100)
        (place / "._3.png").write_bytes(b"\0\5\x16\7" + b"\0" * 100)
    else:
        third.unlink()
        third.symlink_to("/dev/zero")

    def judge(answer: list[npt.NDArray[np.uint8]]) -> str:
        whole = np.asarray(images.picture())
        if len(answer) != 5:
            return f"{len(answer)} of 5 frames"
        return "" if all(np.array_equal(a, whole) for a in answer) else "another picture"

    return Case(lambda: seen(place), judge, ("3.png",))


def _sound(rng: Rng, folder: Path) -> tuple[str, bytes]:
    name = str(pick(rng, sounds()))
    return name, sounds()[name]


add_no_files(DOOR, _sound, lambda path, sound: case(path, path.name))
