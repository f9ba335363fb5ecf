from pathlib import Path

import pytest

from hcft_jax.util.memory import available_memory

FREE = 8_000_000 * 1024  # of the machine


def system(root: Path, groups: str, files: dict[str, str]) -> Path:
    """Write the files of a system below a folder."""
    told = {
        "proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n",
        "proc/self/cgroup": groups,
    }
    for name, text in (told | files).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V1, V2 = "3:cpu:/a\n2:memory:/a/b\n", "0::/a/b\n"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("", {}, FREE),
        (V2, {"sys/fs/cgroup/a/b/memory.max": "max\n"}, FREE),
        (
            V2,
            {"sys/fs/cgroup/a/memory.max": "5000\n", "sys/fs/cgroup/a/memory.current": "1500\n"},
            3500,
        ),
        (
            V2,  # a container sees its own group at the top
            {
                "sys/fs/cgroup/memory.max": "5000\n",
                "sys/fs/cgroup/memory.current": "1500\n",
                "sys/fs/cgroup/memory.stat": "anon 7\ninactive_file 200\n",
            },
            3700,
        ),
        (
            V1,
            {
                "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "5000\n",
                "sys/fs/cgroup/memory/a/b/memory.usage_in_bytes": "6000\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "7\n",
            },
            0,
        ),
    ],
)
def test_what_is_left_is_the_least_of_the_machine_and_its_limits(
    tmp_path: Path, groups: str, files: dict[str, str], expected: int
) -> None:
    assert available_memory(system(tmp_path, groups, files)) == expected


def test_a_system_that_does_not_tell_is_none(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None


def test_this_system_tells() -> None:
    if Path("/proc/meminfo").exists():
        assert available_memory() > 0  # type: ignore[operator]
