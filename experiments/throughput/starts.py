"""Cold and warm starts: from the command to the first boxes, each in a process of its own.

A cold start has an empty compilation cache, a warm start the one that the cold start left. Starts
must be measured before this process uses a GPU, because it would keep the GPU's memory.

    python -m hcft_jax.experiments.throughput.starts '<settings as JSON>'

is such a process: it prints its times as JSON.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from hcft_jax.util.errors import InputError


def measure(settings: dict[str, Any], repeats: int = 1) -> dict[str, Any]:
    """Measure cold and warm starts.

    Args:
        settings: ``weights`` (as --weights), ``tracker`` (fields of ``TrackerConfig``), ``lanes``.
        repeats: the number of starts of each kind.

    Returns:
        ``{"cold": [...], "warm": [...]}``. Each start is a dictionary of seconds: ``import``,
        ``weights``, ``tracked`` (from the weights to the first boxes), ``compile``, ``process``
        (the whole process, timed from outside); and of numbers: ``executables``, ``cache_hits``.

    Raises:
        InputError: the process failed; the message has its last line.
    """
    times: dict[str, Any] = {"cold": [], "warm": []}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as cache:
            for kind in ("cold", "warm"):
                times[kind].append(_start(settings, cache))
    return times


def _start(settings: dict[str, Any], cache: str) -> dict[str, float]:
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "hcft_jax.experiments.throughput.starts", json.dumps(settings)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    spent = time.perf_counter() - started
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"the start-up could not be measured: {last}")
    return {"process": spent, **json.loads(done.stdout.splitlines()[-1])}


def main(text: str) -> None:
    """Start once with the given settings, and print the times."""
    begun = time.perf_counter()
    import jax
    import numpy as np

    from hcft_jax.core.config import TrackerConfig
    from hcft_jax.core.target import Bucket
    from hcft_jax.data.synthetic import Synthetic, synthetic
    from hcft_jax.run.batch import track_many
    from hcft_jax.util import compilation
    from hcft_jax.weights import lookup

    hits = 0

    def listen(event: str, **_: Any) -> None:
        nonlocal hits
        hits += event == "/jax/compilation_cache/cache_hits"

    jax.monitoring.register_event_listener(listen)
    imported = time.perf_counter()
    settings = json.loads(text)
    fields: Any = {
        k: tuple(v) if isinstance(v, list) else v for k, v in settings["tracker"].items()
    }
    config = TrackerConfig(**fields)
    found = lookup.find(settings["weights"], config.backbone)
    params = config.network.placed(found.params, config.precision)
    jax.block_until_ready(params)
    loaded = time.perf_counter()
    drawn = synthetic(Synthetic(frames=2, height=240, width=320))
    bucket = Bucket((240, 320), (40, 40))
    (track,) = track_many(params, config, [drawn], bucket=bucket, lanes=settings["lanes"])
    if track.error is not None or not np.isfinite(track.boxes).all():
        raise InputError(f"the drawn sequence was not tracked: {track.error}")
    total = compilation.total()
    report = {
        "import": imported - begun,
        "weights": loaded - imported,
        "tracked": time.perf_counter() - loaded,
        "compile": total.seconds,
        "executables": total.executables,
        "cache_hits": hits,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1])
