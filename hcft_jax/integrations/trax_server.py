"""The server of the TraX protocol: it answers a client's requests with our tracker."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from absl import flags

from hcft_jax.answers import Result
from hcft_jax.api import Tracker
from hcft_jax.data.frames import read_image
from hcft_jax.data.vot import around
from hcft_jax.integrations import trax_input
from hcft_jax.util import boxes, startup
from hcft_jax.util.errors import InputError, command

INSTALL = "pip install 'hcft_jax[vot]'"


def serve(trax: Any, tracker: Tracker) -> None:
    """Answer the client until it quits; ``trax`` is the module of that name.

    Raises:
        InputError: An image cannot be read, or a target cannot be tracked. The client was told.
            Or the client ended without saying so, or sent what is no message (``trax_input``).
    """
    with trax_input.checked() as incoming:
        try:
            _serve(trax, tracker)
        except trax.TraxException as error:
            if not incoming.fault:
                raise InputError(f"TraX: {error}; is this run by a toolkit?") from error
        if incoming.fault:
            raise InputError(f"TraX: {incoming.fault}; is this run by a toolkit?")


def _serve(trax: Any, tracker: Tracker) -> None:
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
            raise InputError(f"{len(request.objects)} targets were given; this tracker takes one")
        region, _ = request.objects[0]
        result = tracker.init(image, _box(trax, region))
        return _region(trax, result), {}
    result = tracker.update(image)
    known = not math.isnan(result.score)  # a small target has no score
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
    raise InputError(f"a region of type {region.type}: only rectangles and polygons can be used")


@command()
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Run the command and return its exit status."""
    startup.keep_programs()
    try:
        import trax
    except ImportError as error:
        raise InputError(f"TraX cannot be imported ({error}): {INSTALL}") from error
    tracker = Tracker(given.config, given.weights)
    serve(trax, tracker)
    return 0
