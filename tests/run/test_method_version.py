"""The boxes that belong to a version of the method.

Results are taken for done across versions of the program by ``METHOD_VERSION`` alone. Where this
test fails because boxes have changed, raise that number and write the new boxes here.
"""

from typing import Any

import numpy as np
import pytest

from hcft_jax.backbones import registry
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.experiment import settings
from hcft_jax.run.streaming import track_sequence
from hcft_jax.util.version import METHOD_VERSION
from hcft_jax.weights import lookup

VERSION = 1
DRAWN = Synthetic(frames=8, height=120, width=160, target=(32, 24), motion=24.0, scale=0.4)
CASES: list[tuple[str, dict[str, Any], tuple[float, ...]]] = [
    ("lite0", {"input_size": 96}, (60.1, 65.42, 24.0, 32.0)),
    ("dsst", {}, (60.32, 63.48, 27.03, 36.04)),
]


def test_the_boxes_below_are_those_of_this_version() -> None:
    assert METHOD_VERSION == VERSION


@pytest.mark.parametrize(("name", "changes", "known"), CASES, ids=[case[0] for case in CASES])
def test_boxes_change_with_the_version_only(
    name: str, changes: dict[str, Any], known: tuple[float, ...]
) -> None:
    config = settings.derive(name, **changes).tracker
    found = lookup.find(None, config.backbone).params
    params = registry.get(config.backbone).placed(found, config.precision)
    boxes = np.concatenate([t.boxes for t in track_sequence(params, config, synthetic(DRAWN))])
    # last digits depend on the device
    np.testing.assert_allclose(boxes[-1], known, rtol=0, atol=0.05)
