"""A reader in a process of its own: its arrays, its errors, and its end."""

import sys
from pathlib import Path

import numpy as np
import pytest

from hcft_jax.util import apart
from hcft_jax.util.errors import InputError

READER = """
import os, signal, sys
import numpy as np
from hcft_jax.util import apart
from hcft_jax.util.errors import InputError

def read(path, arguments):
    {body}

sys.exit(apart.answer(read))
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "reader_of_test.py"


def ask(module: Path, body: str, *arguments: str) -> dict[str, np.ndarray]:
    module.write_text(READER.format(body=body), encoding="utf-8")
    return apart.arrays(module.stem, Path("weights.h5"), arguments)


def test_arrays_come_back_by_name(module: Path) -> None:
    body = "return {'a/b': np.arange(3.0), 'given': np.array([str(path), *arguments])}"
    found = ask(module, body, "x", "y")
    np.testing.assert_array_equal(found["a/b"], [0.0, 1.0, 2.0])
    assert found["given"].tolist() == ["weights.h5", "x", "y"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise InputError(f'{path}: no\\nlayer')", r"weights\.h5: no layer"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"weights\.h5: damaged, .* by SIGSEGV"),
        ("raise RuntimeError('a fault')", r"weights\.h5: damaged, .* with status 1"),
        ("os._exit(0)", r"weights\.h5: damaged, .* with status 0"),
        ("return {'a': np.array([None])}", r"weights\.h5: damaged, .* with status 1"),
    ],
)
def test_a_reader_that_fails_is_an_error_about_its_file(
    module: Path, body: str, message: str
) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        ask(module, body)


def test_a_reader_that_never_ends_is_ended(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "SECONDS", 0.5)
    with pytest.raises(InputError, match=r"weights\.h5: damaged, .* come to an end"):
        ask(module, "signal.pause()")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems limit less")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return {'a': np.ones(1 << 40)}", "needs more memory"),
        (
            "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 10))\n    while 1: pass",
            "by SIGXCPU",
        ),
    ],
)
def test_a_reader_has_limits(module: Path, body: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"weights\.h5: .*{message}"):
        ask(module, body)
