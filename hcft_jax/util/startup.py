"""The start of a command: where compiled programs are kept, and which processes share the work."""

import hashlib
import platform
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from absl import flags

from hcft_jax.util.errors import SettingError
from hcft_jax.util.files import cache_dir
from hcft_jax.util.flag_groups import FlagGroup

NONE = "none"
_WORTH_KEEPING = 0.3  # seconds of compiling


@dataclass(frozen=True)
class Process:
    """One of several processes that do a job together, each on its own devices."""

    index: int = 1  # from 1
    count: int = 1

    def wait(self, name: str) -> None:
        """Wait until all processes have come here."""
        if self.count > 1:
            from jax.experimental import multihost_utils  # takes a second

            multihost_utils.sync_global_devices(name)


ALONE = Process()


def define(
    into: flags.FlagValues = flags.FLAGS,
    only: Collection[str] = ("compilation_cache", "distributed"),
) -> None:
    """Define the flags that ``start`` reads.

    Args:
        into: Where the flags go.
        only: The names of those wanted.
    """
    group = FlagGroup(into, "The machine")
    if "compilation_cache" in only:
        what = f"folder that keeps compiled programs for the next start, or '{NONE}'"
        group.text("compilation_cache", meaning=what, shown=f"{cache_dir()}/xla")
    if "distributed" in only:
        what = (
            "which of several processes that share the runs: auto (Slurm, Open MPI, Cloud TPU), or "
            "i/n@HOST:PORT for process i of n, where HOST:PORT is the first one's address"
        )
        group.text("distributed", meaning=what)


def keep_programs(folder: str | None = None) -> None:
    """Keep compiled programs for the next start, in a folder or the cache; not with ``NONE``."""
    if folder != NONE:
        import jax

        place = Path(folder or cache_dir() / "xla") / _host()
        jax.config.update("jax_compilation_cache_dir", str(place))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_KEEPING)


def start(given: flags.FlagValues = flags.FLAGS) -> Process:
    """Set JAX up before it computes; return which of the processes this one is.

    Raises:
        SettingError: ``distributed`` is malformed, or the processes do not meet.
    """
    keep_programs(given.compilation_cache)
    if given.distributed is None:
        return ALONE
    match = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})@(.+:[0-9]{1,9})", given.distributed)
    index, count = map(int, match.groups()[:2]) if match else (0, 0)
    import jax

    try:
        if given.distributed == "auto":
            jax.distributed.initialize()
        elif match and 1 <= index <= count:
            jax.distributed.initialize(match[3], count, index - 1)
        else:
            raise SettingError(
                "distributed",
                f"{given.distributed[:60]!r} is neither auto nor i/n@HOST:PORT with i from 1 to n",
            )
    except SettingError:
        raise
    except (ValueError, RuntimeError) as error:
        text = str(error).splitlines()[0]
        raise SettingError("distributed", f"{given.distributed}: {text}") from error
    return Process(jax.process_index() + 1, jax.process_count())


def _host() -> str:
    """Return the kind of this machine: a program compiled for one CPU may not run on another."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    kind = hashlib.sha256(f"{platform.processor()} {features}".encode()).hexdigest()[:8]
    return f"{platform.machine()}-{kind}"
