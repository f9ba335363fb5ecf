"""A view of the layers for each frame: their response maps, and their features as colours."""

from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, sampling, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.detection import State
from hcft_jax.visual import overlay, palette
from hcft_jax.visual.palette import Palette

Image = npt.NDArray[np.uint8]


class LayersView:
    """The panel beside the frames of one target.

    The colours are the first three principal components of each layer's features in the first
    frame; they mean the same in all frames. A view takes one more pass of the network per frame.
    """

    def __init__(self, params: Params, config: TrackerConfig):
        """Prepare a view of a target that is tracked with these parameters and constants."""
        self._params, self._config = params, config
        self._palettes: dict[str, Palette] = {}

    def panel(self, state: State, image: Image) -> Image:
        """Draw the response maps and the colours of the search window, as high as the shown frame.

        Args:
            state: The state before the frame is tracked; its position is the centre of the search.
            image: The frame, RGB uint8 ``[H, W, 3]``.
        """
        # the network by itself, as the tracker has compiled it
        view = detection.view(self._config, state.position, state.scale)
        patch = _patch(image, view, state.target.crop)
        maps = tracker.features(self._params, self._config, patch, state.target.crop.size)
        responses, maps = jax.device_get((_responses(self._config, state, maps), maps))
        rows, columns = np.asarray(state.target.transform.grid)
        responses = responses[:, :rows, :columns]  # without padding
        shown = {}
        names = sorted(maps, key=lambda name: maps[name].shape[0])  # deepest first, as responses
        for name in names:
            values = np.asarray(maps[name], np.float64)
            if name not in self._palettes:
                self._palettes[name] = palette.palette([values])
            shown[name] = self._palettes[name].colours(values)
        window = np.asarray(state.target.crop.window)
        aspect = float(window[1] / window[0])
        height = overlay.enlargement(image) * image.shape[0]
        panels = [
            overlay.response_panel(height, self._config.response_names, responses, aspect),
            overlay.colour_panel(height, shown, aspect),
        ]
        return np.concatenate(panels, axis=1)


_patch = jax.jit(sampling.patch)


@jax.jit
def _responses(config: TrackerConfig, state: State, maps: dict[str, jax.Array]) -> Any:
    z = tracker.spectra(config, state.target, maps)
    _, output = detection.detect(config, state, z, with_responses=True)
    return output.responses
