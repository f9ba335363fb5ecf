"""Our tracker for the GOT-10k toolkit (https://github.com/got-10k/toolkit).

::

    from got10k.experiments import ExperimentOTB
    from hcft_jax.integrations.got10k import HCFT

    experiment = ExperimentOTB("OTB100", version=2015)
    experiment.run(HCFT())
    experiment.report(["HCFT"])

The toolkit hands over boxes as they stand in a benchmark's files and takes ours in the same way: x
and y are 1-based, as in OTB's.
"""

from typing import Any

import numpy as np

from hcft_jax.api import Tracker
from hcft_jax.util.boxes import Boxes, from_file, to_file

try:
    from got10k.trackers import Tracker as ToolkitTracker
except ImportError as error:
    raise ImportError(
        f"the GOT-10k toolkit cannot be imported ({error}): pip install 'hcft_jax[got10k]'"
    ) from error


class HCFT(ToolkitTracker):
    """HCFT as a ``Tracker`` of the toolkit."""

    def __init__(
        self, config: str = "hcft", weights: str | None = None, name: str = "HCFT"
    ) -> None:
        """Reads the weights; compiles when the first target is known.

        Args:
            config: A shipped configuration's name, or a Python file with ``get_config()``.
            weights: A file, "random", or None for where they usually are.
            name: What the toolkit calls its results; another configuration needs another name.

        Raises:
            InputError: as ``Tracker``.
        """
        super().__init__(name=name, is_deterministic=True)
        self._tracker = Tracker(config, weights)

    def init(self, image: Any, box: Any) -> None:
        """The first frame, a PIL image in RGB, and the box in it."""
        self._tracker.init(np.asarray(image), from_file(box))

    def update(self, image: Any) -> Boxes:
        """The box in the next frame."""
        return to_file(self._tracker.update(np.asarray(image)).box)
