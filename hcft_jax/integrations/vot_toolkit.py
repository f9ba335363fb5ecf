"""Our tracker for the VOT toolkit, and whatever else speaks TraX: one process, many targets.

In the toolkit's ``trackers.ini``::

    [HCFT]
    label = HCFT
    protocol = trax
    command = python -m hcft_jax.integrations.vot_toolkit --config=hcft
    timeout = 300

Weights are read before it says hello. What is compiled depends on the sizes of the image and the
target, so it compiles when a target is given and answers when it has: the frames after that are
warm. ``timeout`` must allow for it; compiled programs are kept for the next start. Regions are
rectangles, 0-based as in the protocol; of a polygon the box around it is taken. Everything for
people goes to the standard error.

Each answer has a property ``confidence``, the peak-to-sidelobe ratio of the response, unless the
target is so small that there is none (``hcft_jax.Result``).
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from absl import app, flags

from hcft_jax.api import Result, Tracker
from hcft_jax.data.frames import read_image
from hcft_jax.data.vot import around
from hcft_jax.util import boxes, startup
from hcft_jax.util.errors import InputError, command

INSTALL = "pip install 'hcft_jax[vot]'"


def serve(trax: Any, tracker: Tracker) -> None:
    """Answers until the other side quits; ``trax`` is the module of that name.

    Raises:
        InputError: an image cannot be read or a target not be tracked. The other side was told.
    """
    server = trax.Server(
        [trax.Region.RECTANGLE],
        [trax.Image.PATH, trax.Image.MEMORY],
        tracker_name="HCFT",
        tracker_description="hierarchical convolutional features (Ma et al., ICCV 2015) in JAX",
        tracker_family="correlation filter",
    )
    try:
        while (request := server.wait()).type != trax.TraxStatus.QUIT:
            server.status([_answer(trax, tracker, request)])
    except InputError as error:
        server.quit(str(error))
        raise
    server.quit()


def _answer(trax: Any, tracker: Tracker, request: Any) -> tuple[Any, dict[str, Any]]:
    image = _image(trax, request.image[trax.ImageChannel.COLOR])
    if request.type == trax.TraxStatus.INITIALIZE:
        if len(request.objects) != 1:
            raise InputError(f"{len(request.objects)} targets were given, this tracker has one")
        region, _ = request.objects[0]
        result = tracker.init(image, _box(trax, region))
        return _region(trax, result), {}
    result = tracker.update(image)
    known = not math.isnan(result.score)  # a small target has none
    return _region(trax, result), {"confidence": f"{result.score:.4f}"} if known else {}


def _region(trax: Any, result: Result) -> Any:
    return trax.Rectangle.create(*(float(v) for v in result.box))


def _image(trax: Any, image: Any) -> npt.ArrayLike:
    if image.type() == trax.Image.PATH:
        return read_image(image.path())
    pixels: npt.NDArray[Any] = image.array()
    return pixels


def _box(trax: Any, region: Any) -> boxes.Boxes:
    if region.type == trax.Region.RECTANGLE:
        return np.asarray(region.bounds(), np.float64)
    if region.type == trax.Region.POLYGON:
        return around(list(region))
    raise InputError(f"a region of type {region.type}: only rectangles and polygons are understood")


@command()
def main(argv: list[str]) -> int:
    """The command; the exit status."""
    startup.quiet()
    startup.keep_programs()
    try:
        import trax
    except ImportError as error:
        raise InputError(f"TraX cannot be imported ({error}): {INSTALL}") from error
    tracker = Tracker(flags.FLAGS.config, flags.FLAGS.weights)
    try:
        serve(trax, tracker)
    except trax.TraxException as error:
        raise InputError(f"TraX: {error}; is this run by a toolkit?") from error
    return 0


def define_flags() -> None:
    """The flags of the command line; not at import, where names would clash with other programs."""
    flags.DEFINE_string("config", "hcft", "configuration: a shipped one's name, or a file.py")
    flags.DEFINE_string("weights", None, "network weights file, or 'random'")


if __name__ == "__main__":
    define_flags()
    app.run(main)
