"""What FFmpeg may open, sound videos of all kinds, and what is said of damaged ones."""

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from hcft_jax.data import containers, video
from hcft_jax.data.sequence import Frame
from hcft_jax.util.errors import InputError
from tests import films

COUNT = 30
TICK = Fraction(1, 25)
GOP = {"g": "6"}
KINDS: dict[str, dict[str, Any]] = {
    "h264.mp4": {"codec": "libx264", "options": GOP},
    "faststart.mp4": {
        "codec": "libx264",
        "options": GOP,
        "container_options": {"movflags": "faststart"},
    },
    "fragments.mp4": {
        "codec": "libx264",
        "options": GOP,
        "container_options": {"movflags": "frag_keyframe+empty_moov"},
    },
    "h264.mkv": {"codec": "libx264", "options": GOP},
    "h264.avi": {"codec": "libx264", "options": GOP},
    "h264.ts": {"codec": "libx264", "options": GOP},
    "h264.h264": {"codec": "libx264", "options": GOP},
    "open.h264": {
        "codec": "libx264",
        "options": {"x264-params": "open-gop=1:keyint=6:min-keyint=6:bframes=2:b-adapt=0"},
    },
    "mpeg4.avi": {"codec": "mpeg4", "tick": TICK, "options": GOP},
    "b.avi": {"codec": "mpeg4", "tick": TICK, "options": {**GOP, "bf": "2"}},
    "mpeg2.ts": {"codec": "mpeg2video", "tick": TICK, "options": {**GOP, "bf": "2"}},
    "mjpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p", "tick": TICK},
    "raw.mjpeg": {"codec": "mjpeg", "pixels": "yuvj420p", "tick": TICK},
    "drawn.gif": {"codec": "gif", "pixels": "rgb8", "tick": TICK},
    "vp8.webm": {"codec": "libvpx", "options": GOP},
    "lossless.mkv": {"codec": "ffv1", "pixels": "bgr0"},
}


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    rng = np.random.default_rng(0)
    ground = cv2.resize(rng.integers(0, 256, (9, 12, 3)).astype(np.uint8), (160, 120))
    ground = np.clip(ground + rng.normal(0, 12, ground.shape), 0, 255).astype(np.uint8)
    return [np.roll(ground, 2 * i, axis=1) for i in range(COUNT)]


@pytest.fixture(scope="module")
def films_of(frames: list[Frame], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    folder = tmp_path_factory.mktemp("films")

    def of(name: str) -> Path:
        path = folder / name
        if not path.exists():
            films.write(path, frames, **{"pixels": "yuv420p", **KINDS[name]})
        return path

    return of


def seen(path: Path) -> tuple[int, str]:
    """How many frames there are, and what is said after the last one."""
    count = 0
    try:
        with video.opened(path) as opened:
            for _ in opened:
                count += 1
    except InputError as error:
        return count, str(error)
    return count, ""


def one_thread(path: Path) -> int:
    """How many frames PyAV gives with one thread, whatever goes wrong."""
    count = 0
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        packets = container.demux(stream)
        while True:
            try:
                count += len(next(packets).decode())
            except StopIteration:
                return count
            except av.error.InvalidDataError:
                continue


@pytest.mark.parametrize("name", KINDS)
def test_a_sound_video_of_any_kind_is_not_called_damaged(
    name: str, films_of: Callable[..., Path]
) -> None:
    assert seen(films_of(name)) == (COUNT, "")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.webm"])
def test_frames_at_irregular_times_are_no_damage(
    name: str, frames: list[Frame], tmp_path: Path
) -> None:
    times = [i / 25 + i // 7 * 0.31 for i in range(COUNT)]
    codec = "libvpx" if name.endswith("webm") else "libx264"
    path = films.write(tmp_path / name, frames, codec, "yuv420p", times=times)
    assert seen(path) == (COUNT, "")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("h264.mkv", kind) for kind in ("mp4", "mkv", "ts", "h264")),
        ("open.h264", "h264"),
        *(("b.avi", kind) for kind in ("avi", "mp4", "mkv")),
        *(("mpeg2.ts", kind) for kind in ("ts", "mkv", "mp4", "avi")),
    ],
)
def test_a_video_cut_at_a_key_frame_is_no_damage(
    name: str, kind: str, films_of: Callable[..., Path], tmp_path: Path
) -> None:
    cut = tmp_path / f"cut.{kind}"
    taken = keys = 0
    with av.open(str(films_of(name))) as given, av.open(str(cut), "w") as made:
        stream: Any = given.streams.video[0]
        copy = made.add_stream_from_template(stream)
        for packet in given.demux(stream):
            keys += bool(packet.size) and packet.is_keyframe
            if packet.size and 2 <= keys < 5:
                taken += 1
                packet.stream = copy
                made.mux(packet)
    count, said = seen(cut)
    assert said == ""
    assert taken - 4 <= count <= taken


@pytest.mark.parametrize("ms", [0, 200])
def test_an_edit_list_that_leaves_frames_out_is_no_damage(
    ms: int, films_of: Callable[..., Path], tmp_path: Path
) -> None:
    content = bytearray(films_of("h264.mp4").read_bytes())
    at = content.index(b"elst")
    duration, start = struct.unpack(">Ii", content[at + 12 : at + 20])
    content[at + 12 : at + 20] = struct.pack(">Ii", duration // 2, start + 16 * ms)
    (tmp_path / "edited.mp4").write_bytes(content)
    count, said = seen(tmp_path / "edited.mp4")
    assert said == ""
    assert count >= COUNT // 3


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"h264.mp4"}))
def test_a_video_that_ends_early_is_said_to_and_gives_what_there_is(
    name: str, films_of: Callable[..., Path], tmp_path: Path
) -> None:
    whole = films_of(name).read_bytes()
    path = tmp_path / name
    for share in (0.45, 0.7):
        path.write_bytes(whole[: int(share * len(whole)) // 188 * 188 + 77])
        count, said = seen(path)
        if name.endswith(".h264") and not said:
            continue  # cut between two of its units, which nothing tells
        assert "the video is damaged: " in said
        assert f"{count} decoded" in said or f"{count} frames decoded" in said
        assert count == one_thread(path) > 0


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"vp8.webm", "mpeg4.avi", "h264.avi"}))
def test_damage_inside_is_said_and_drops_no_frame(
    name: str, films_of: Callable[..., Path], tmp_path: Path
) -> None:
    content = bytearray(films_of(name).read_bytes())
    path = tmp_path / name
    half = len(content) // 2
    content[half : half + 600] = np.random.default_rng(1).bytes(600)
    path.write_bytes(content)
    count, said = seen(path)
    assert "damaged (" in said
    assert " 0 damaged" not in said
    assert count >= one_thread(path) > 0


def test_the_number_that_is_announced_is_said(
    films_of: Callable[..., Path], tmp_path: Path
) -> None:
    content = films_of("faststart.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(content[: len(content) // 2])
    count, said = seen(tmp_path / "half.mp4")
    assert 0 < count < COUNT
    assert f"half.mp4: the video is damaged: {COUNT} frames announced, {count} decoded, " in said


def test_another_video_in_the_same_process_is_not_blamed(
    films_of: Callable[..., Path], tmp_path: Path
) -> None:
    content = bytearray(films_of("raw.mjpeg").read_bytes())
    content[len(content) // 2 :][:400] = bytes(400)
    (tmp_path / "bad.mjpeg").write_bytes(content[: len(content) // 2 + 50])
    with video.opened(tmp_path / "bad.mjpeg") as bad, video.opened(films_of("h264.ts")) as good:
        assert len([moment for moment, _ in zip(good, range(COUNT), strict=False)]) == COUNT
        with pytest.raises(InputError, match="damaged"):
            list(bad)
    assert av.logging.get_level() is None


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.ts\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile secret.ts\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT2S"><Period><AdaptationSet mimeType="video/mp2t"><Representation '
    'id="1" bandwidth="1000"><BaseURL>secret.ts</BaseURL></Representation></AdaptationSet>'
    "</Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "imf": '<?xml version="1.0"?><CompositionPlaylist/>',
    "text": "a line of words\n" * 200,
    "picture": "P6 2 2 255\n" + "x" * 12,
}


@pytest.mark.parametrize("suffix", ["mp4", "m3u8", "txt", "ts"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_nothing_but_a_video_is_opened(
    kind: str, suffix: str, films_of: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "secret.ts").write_bytes(films_of("h264.ts").read_bytes())
    (tmp_path / f"a.{suffix}").write_text(PLAYLISTS[kind])
    with pytest.raises(InputError, match=rf"a\.{suffix}: not a video that can be read"):
        seen_or_raised(tmp_path / f"a.{suffix}")


def seen_or_raised(path: Path | str) -> None:
    with video.opened(path) as opened:
        list(opened)


@pytest.mark.parametrize("name", ["concat:b.ts|b.ts", "subfile,,start,0,end,9,,:b.ts", "a%03d.ts"])
def test_a_name_that_reads_like_a_protocol_is_a_name(
    name: str, films_of: Callable[..., Path], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(films_of("h264.ts").read_bytes())
    assert seen(path) == (COUNT, "")


@pytest.mark.parametrize(
    "url", ["concat://a|b", "subfile://a", "data://x", "gopher://a/b", "async://file://a"]
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(InputError, match=r":// is no address of a video"):
        seen_or_raised(url)


def test_a_file_address_is_the_file(films_of: Callable[..., Path], tmp_path: Path) -> None:
    assert seen(films_of("h264.ts"))[0] == COUNT
    with video.opened(films_of("h264.ts").as_uri()) as opened:
        assert not opened.live
        assert len(list(opened)) == COUNT
    (tmp_path / "list.mp4").write_text(PLAYLISTS["concat"])
    with pytest.raises(InputError, match="not a video that can be read"):
        seen_or_raised((tmp_path / "list.mp4").as_uri())


@pytest.mark.parametrize("name", ["drawn.gif", "h264.h264", "mpeg2.ts"])
def test_a_file_without_end_is_not_taken_for_one_frame(
    films_of: Callable[..., Path], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "_FRAME", 1 << 20)
    path = tmp_path / name
    path.write_bytes(films_of(name).read_bytes())
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    assert f"{name}: " in seen(path)[1]
    assert "no frame in 1 MiB" in seen(path)[1]


def test_a_video_of_an_unknown_codec_is_refused(
    films_of: Callable[..., Path], tmp_path: Path
) -> None:
    path = tmp_path / "clip.mkv"
    path.write_bytes(
        films_of("h264.mkv").read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ")
    )
    assert "clip.mkv: not a video that can be read (its codec is not known)" in seen(path)[1]


def test_a_display_matrix_that_is_none_is_refused(
    films_of: Callable[..., Path], tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    content = films_of("h264.mp4").read_bytes()
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    at = content.index(identity, content.index(b"tkhd"))
    path.write_bytes(content[:at] + struct.pack(">2i", 7 << 16, 9 << 16) + content[at + 8 :])
    assert "clip.mp4: it is damaged: its display matrix" in seen(path)[1]


@pytest.mark.parametrize("name", ["lossless.mkv", "h264.mp4", "h264.mkv", "mpeg4.avi", "vp8.webm"])
def test_a_picture_of_zeros_is_damage(
    films_of: Callable[..., Path], name: str, tmp_path: Path
) -> None:
    content = films_of(name).read_bytes()
    with av.open(str(films_of(name))) as container:
        fifth = [bytes(packet) for packet in container.demux(video=0)][4]
    path = tmp_path / name
    path.write_bytes(content.replace(fifth, bytes(len(fifth))))
    assert "frame" in seen(path)[1]
    assert "damaged" in seen(path)[1]
