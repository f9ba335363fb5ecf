"""What a worker is given in place of the real world: no network, short waits, small networks."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

LIMITS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def prepare() -> None:
    """Import all that is opened, so that no case pays for it, and shorten what only waits."""
    os.environ["HCFT_CACHE"] = str(place())
    os.environ["no_proxy"] = "*"
    for name in ("HCFT_WEIGHTS", "HCFT_WEIGHTS_ALEXNET"):
        os.environ.pop(name, None)

    import jax

    from hcft_jax.backbones import vgg
    from hcft_jax.backbones.registry import BACKBONES
    from hcft_jax.util import apart, download
    from tests.hostile.doors import DOORS
    from tests.weights.test_importers import tiny

    assert DOORS
    jax.config.update("jax_compilation_cache_dir", str(place() / "programs"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    download._RETRY_WAIT = 0.0
    download._WINDOW = 0.4
    download._TIMEOUT = 1.0
    apart.SECONDS = 15
    shapes = {name: parts["kernel"].shape for name, parts in tiny().items() if name in vgg.LAYERS}
    # the real one has 80 MB
    BACKBONES["vgg19"] = replace(BACKBONES["vgg19"], shapes=lambda _: shapes)


def place() -> Path:
    """Return the folder of what all workers of a run share: made files, compiled programs."""
    if "HOSTILE_PLACE" not in os.environ:  # of a worker that runs by itself
        os.environ["HOSTILE_PLACE"] = tempfile.mkdtemp(prefix="hostile-")
    return Path(os.environ["HOSTILE_PLACE"])


def environment() -> dict[str, str]:
    """Return the environment in which a worker is started."""
    root = Path(__file__).parents[2]
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        **LIMITS,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "JAX_PLATFORMS": "cpu",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
