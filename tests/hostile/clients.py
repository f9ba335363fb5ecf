"""What clients send that speak TraX, the protocol of the VOT toolkit."""

import contextlib
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from hcft_jax.api import Result
from hcft_jax.integrations import trax_input, trax_server
from hcft_jax.util.errors import InputError
from tests.hostile import images
from tests.hostile.kinds import Case, Door, Rng, pick
from tests.hostile.mutations import BINARY

TRAX = Door("TraX", share=3)


class Fake:
    """A tracker that answers with its box, so that nothing is compiled."""

    def __init__(self) -> None:
        self.images = 0

    def init(self, image: Any, box: Any) -> Result:
        """Take the target."""
        self.images += 1
        array = np.asarray(box, np.float32)
        if array.shape != (4,) or not np.isfinite(array).all() or (array[2:] <= 0).any():
            raise InputError(f"box: {array} is none")
        self._box = array
        return Result(self._box, float("nan"), False)

    def update(self, image: Any) -> Result:
        """Answer with the same box."""
        self.images += 1
        if not hasattr(self, "_box"):
            raise InputError("no target yet: call init(image, box) first")
        return Result(self._box, 20.0, False)


def served(sent: bytes) -> int:
    """Let the server read what a client sends that then ends; return how many images it took."""
    import trax

    receiver, sender = os.pipe()
    out = os.open(os.devnull, os.O_WRONLY)

    def send() -> None:
        with contextlib.suppress(OSError), os.fdopen(sender, "wb", buffering=0) as pipe:
            for at in range(0, len(sent), 1 << 14):
                pipe.write(sent[at : at + (1 << 14)])

    before = {name: os.environ.get(name) for name in ("TRAX_IN", "TRAX_OUT")}
    os.environ |= {"TRAX_IN": str(receiver), "TRAX_OUT": str(out)}
    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    tracker: Any = Fake()
    try:
        trax_server.serve(trax, tracker)
        return int(tracker.images)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        os.close(receiver)
        thread.join(2.0)
        os.close(out)


def dialogue(image: str) -> bytes:
    """Return what a sound client sends."""
    start = '@@TRAX:initialize "10.0,10.0,9.0,8.0" \n'
    return (start + f'@@TRAX:frame "{image}" \n' * 3 + "@@TRAX:quit \n").encode()


def _picture(folder: Path) -> str:
    path = folder / "0001.png"
    path.write_bytes(images.saved(images.picture(), "PNG"))
    return f"file://{path}"


def _trax_case(sent: bytes) -> Case:
    return Case(lambda: served(sent), lambda count: "" if count <= 9 else f"{count} images")


def _add_trax() -> None:
    for name, (why, change) in BINARY.items():

        def make(rng: Rng, folder: Path, change: Any = change) -> Case:
            return _trax_case(change(rng, dialogue(_picture(folder))))

        TRAX.add(name, why, make)


_add_trax()


@TRAX.kind("A message whose region, image or properties are other things.")
def messages(rng: Rng, folder: Path) -> Case:
    image = _picture(folder)
    regions = ("1,2", "1,2,3,4,5", "1,2,3,4,5,6", "nan,1,2,3", "0", "", "a", "1e999,1,1,1",
        "-5,-5,-1,-1", "1,2,3,4",
               "m0,0,9,9,1,2", "1," * 30_000 + "1", ";", "1.0,2.0,3.0,4.0;5",
               "m1,1,99999,99999,9")  # fmt: skip
    sources = (image, "file:///dev/zero", f"file://{folder}", "file://", "http://127.0.0.1:1/a.jpg",
        "x",
               "data:image/jpeg;base64,////", "image:64;64;rgb;AAAA", "image:-1;9;rgb;AAAA",
               "file:///absent",
               "image:65535;65535;rgb;", "image:2;2;gray16;AAAAAAAAAAA=", "data:;base64,",
               "file://\\x00",
               "file:///dev/stdin", "image:2;2;none;AAAA",
               "data:image/png;base64,iVBORw0KGgo=")  # fmt: skip
    region, source = str(pick(rng, regions)), str(pick(rng, sources))
    extra = str(pick(rng, ("", '"a=b"', '"a"', '"=x"', '"a=' + "y" * 5000 + '"', '"k\\"=v"')))
    verb = str(
        pick(rng, ("initialize", "initialize", "initialize", "frame", "state", "hello", "x"))
    )
    lines = [f'@@TRAX:{verb} "{region}" {extra}', f'@@TRAX:frame "{source}" {extra}',
             f'@@TRAX:frame "{image}" "{image}" ', "@@TRAX:quit "]  # fmt: skip
    return _trax_case("".join(line + "\n" for line in lines).encode())


@TRAX.kind("Endless lines, endless messages and quotes that stay open.")
def long(rng: Rng, folder: Path) -> Case:
    pieces = (b"x", b'@@TRAX:frame "', b"@@TRAX:frame a\n", b'"', b"\\", b"\n", b"@@TRAX:", b"a=b ")
    piece = bytes(pick(rng, pieces))
    size = int(pick(rng, (10_000, 1_000_000, 20_000_000)))
    start = dialogue(_picture(folder)).split(b"\n")[0] + b"\n"
    sent = start * int(rng.integers(2)) + (piece * (size // len(piece) + 1))[:size]
    return Case(lambda: served(sent), None)


@TRAX.kind("A client that is not there: a closed descriptor, a port of nobody, no number.")
def absent(rng: Rng, folder: Path) -> Case:
    name, value = pick(rng, (("TRAX_IN", "999"), ("TRAX_IN", "x"), ("TRAX_IN", "-1"),
    ("TRAX_SOCKET", "1"),
                             ("TRAX_SOCKET", "99999"), ("TRAX_SOCKET", "x"), ("TRAX_IN",
                             "9" * 400)))  # fmt: skip

    def open_() -> None:
        os.environ[name] = value
        try:
            with trax_input.checked():
                pass
        finally:
            os.environ.pop(name, None)

    return Case(open_, lambda _: "somebody is there", ("TraX",))
