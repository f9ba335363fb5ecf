"""The tracker as an object, for toolkits that hand over one frame after the other."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hcft_jax import config as configurations
from hcft_jax import tracker
from hcft_jax.backbones import registry, weights
from hcft_jax.config import Experiment, TrackerConfig

Floats = npt.NDArray[np.float32]


class Result(NamedTuple):
    """What a frame gave."""

    box: Floats  # [4] x, y, w, h, 0-based pixels
    score: float  # the peak-to-sidelobe ratio; NaN in the first frame


class Tracker:
    """Tracks one target at a time, in images of the size of the first one."""

    def __init__(
        self, config: str | Experiment | TrackerConfig = "hcft", weights_file: str | None = None
    ) -> None:
        """Reads the weights.

        Raises:
            InputError: an unknown configuration, a constant out of range, or no usable weights.
        """
        if isinstance(config, str):
            config = configurations.load(config)
        if isinstance(config, Experiment):
            weights_file, config = weights_file or config.weights, config.tracker
        self.config = config.validate()
        held = weights.find(weights_file, config.backbone)
        self._params = registry.get(config.backbone).placed(held.params)
        self._state: tracker.State | None = None

    def init(self, image: npt.ArrayLike, box: npt.ArrayLike) -> Result:
        """Starts with a target: RGB ``[H, W, 3]`` and its box; compiles what ``update`` needs.

        Raises:
            InputError: as ``tracker.init``.
        """
        image = np.asarray(image)
        state = tracker.init(self._params, self.config, image, box)
        tracker.step(self._params, self.config, state, image)[1].box.block_until_ready()
        self._state = state
        return Result(np.asarray(tracker.box(state)), float("nan"))

    def update(self, image: npt.ArrayLike) -> Result:
        """Where the target is in the next frame.

        Raises:
            InputError: another size than the first image's.
        """
        assert self._state is not None, "init comes first"
        self._state, output = tracker.step(
            self._params, self.config, self._state, np.asarray(image)
        )
        return Result(np.asarray(output.box), float(output.psr))
