"""Processes that were forked after JAX had started."""

import os
import subprocess
import sys

import pytest

FORKS = """import os, warnings
import numpy as np
import hcft_jax, hcft_jax.api, hcft_jax.run.streaming
{started}
warnings.simplefilter("ignore")  # JAX tells of a fork as well, of all kinds
child = os.fork()
if not child:
    try:
        hcft_jax.Tracker("kcf").init(np.zeros((64, 64, 3), np.uint8), (20, 20, 20, 20))
    except hcft_jax.InputError as error:
        print(error, flush=True)
    else:
        print("tracked", flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
@pytest.mark.parametrize(
    ("started", "said"),
    [
        ('hcft_jax.Tracker("kcf")', "this process was forked after JAX had started"),
        ("import jax; jax.devices()", "this process was forked after JAX had started"),
        ("", "tracked"),
    ],
)
def test_a_fork_of_a_process_that_has_tracked_says_so(started: str, said: str) -> None:
    program = FORKS.format(started=started)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300
    )
    assert done.stdout.startswith(said), done.stderr
