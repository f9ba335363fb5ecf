"""Our tracker for the GOT-10k toolkit (https://github.com/got-10k/toolkit).

::

    from got10k.experiments import ExperimentOTB
    from hcft_jax.integrations.got10k_toolkit import HCFT

    experiment = ExperimentOTB("OTB100", version=2015)
    experiment.run(HCFT())
    experiment.report(["HCFT"])

The toolkit passes the boxes of a benchmark's files unchanged and expects ours in the same form: x
and y are 1-based, as in OTB's files.
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
    """A ``Tracker`` of the toolkit that runs ours."""

    def __init__(
        self, config: str = "hcft", weights: str | None = None, name: str = "HCFT"
    ) -> None:
        """Read the weights. The first target compiles the tracker, targets of other sizes little.

        Args:
            config: A shipped configuration's name, or a Python file with ``get_config()``.
            weights: A file, "random", or None: as for ``hcft_jax.Tracker``.
            name: The toolkit's name for the results; each configuration needs its own.

        Raises:
            InputError: As for ``hcft_jax.Tracker``.
        """
        super().__init__(name=name, is_deterministic=True)
        self._tracker = Tracker(config, weights)

    def init(self, image: Any, box: Any) -> None:
        """Start with the first frame, a PIL image in RGB, and its box x, y, w, h, 1-based."""
        self._tracker.init(np.asarray(image), from_file(box))

    def update(self, image: Any) -> Boxes:
        """Return the box ``[4]`` in the next frame, x, y, w, h, 1-based."""
        return to_file(self._tracker.update(np.asarray(image)).box)
