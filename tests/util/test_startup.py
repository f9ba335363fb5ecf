"""Start-up as a command sees it: programs kept between runs, processes that share the work."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import pytest
from absl import flags

from hcft_jax.data import otb
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.util import startup
from hcft_jax.util.errors import InputError

SETTINGS = ["--layers=conv1_2", "--gamma=1", "--input_size=32", "--weights=random"]


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    for seed in (0, 1):
        drawn = Synthetic(seed=seed, frames=9, height=64, width=80, target=(20, 20), motion=12.0)
        otb.write(synthetic(drawn), tmp_path / "data")
    places = [f"--data_dir={tmp_path / 'data'}", f"--output_dir={tmp_path / 'out'}"]
    return [sys.executable, "-m", "hcft_jax.main", "--config=otb", *places, *SETTINGS]


@contextmanager
def started(command: list[str], *more: str) -> Iterator["subprocess.Popen[str]"]:
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*command, *more], text=True, env=environment, **pipes) as process:
        yield process


def test_a_second_start_finds_what_the_first_compiled(command: list[str], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    seen = []
    for to in ("one", "two"):
        again = [*command, f"--output_dir={tmp_path / to}", f"--compilation_cache={cache}"]
        with started(again) as process:
            assert process.wait(timeout=240) == 0, process.communicate()
        seen.append({path.name for path in cache.rglob("*-cache")})
    assert seen[0]
    # one that took too little to be kept may be kept the second time; of those that were, no other
    new = {name.partition("-")[0] for name in seen[1] - seen[0]}
    assert not new & {name.partition("-")[0] for name in seen[0]}
    one, two = (next((tmp_path / to).glob("*/ope/synthetic-1.txt")) for to in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_two_processes_share_the_runs(command: list[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    more = "--compilation_cache=none", "--lanes=2"
    with (
        started(command, *more, f"--distributed=1/2@127.0.0.1:{port}") as one,
        started(command, *more, f"--distributed=2/2@127.0.0.1:{port}") as two,
    ):
        (out, err), (other, more_err) = (p.communicate(timeout=240) for p in (one, two))
    assert (one.returncode, two.returncode) == (0, 0), err + more_err
    assert "synthetic" not in other
    assert "synthetic-0" in out
    assert "synthetic-1" in out
    (folder,) = (tmp_path / "out").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary["sequences"]) == {"synthetic-0", "synthetic-1"}
    # each tracked one of them
    assert all("1/1 done" in text for text in (err, more_err))


@pytest.mark.parametrize("given", ["1", "0/2@host:1", "3/2@host:1", "1/2@host", "Auto"])
def test_a_malformed_process_is_named(given: str) -> None:
    values = flags.FlagValues()
    startup.define(values)
    values(["main", f"--distributed={given}", "--compilation_cache=none"])
    with pytest.raises(InputError, match=r"^distributed: "):
        startup.start(values)
    assert jax.process_count() == 1
