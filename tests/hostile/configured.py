"""What is set in files: configurations and sweeps."""

import dataclasses
from pathlib import Path

from hcft_jax.core.config import TrackerConfig
from hcft_jax.experiment import settings, sweeps
from hcft_jax.experiment.settings import Experiment
from tests.hostile.kinds import Case, Door, Rng, pick
from tests.hostile.mutations import BINARY, TEXT, add_changes, add_no_files

CONFIGS = Door("configurations", share=6)

VALUES = (
    *(
        "None",
        "True",
        "'text'",
        "''",
        "b'x'",
        "-1",
        "0",
        "1e300",
        "-1e-46",
        "float('nan')",
        "10**400",
    ),
    *(
        "float('inf')",
        "[]",
        "()",
        "(1, 2)",
        "[None]",
        "{}",
        "{'a': 1}",
        "set()",
        "object()",
        "1j",
        "1.5",
    ),
    *(
        "lambda: 0",
        "type",
        "range(3)",
        "(x for x in 'ab')",
        "__import__('numpy').zeros(3)",
        "'\\0'",
    ),
    *(
        "__import__('numpy').float32(3)",
        "__import__('numpy').array('x')",
        "'x' * 100000",
        "2**63",
        "...",
    ),
    *(
        "'\\ud800'",
        "[[1]]",
        "(1.0, 'a')",
        "frozenset()",
        "Ellipsis",
        "b''",
        "'4'",
        "NotImplemented",
    ),
    *("__import__('decimal').Decimal('1')", "__import__('fractions').Fraction(1, 3)", "'a\\nb'"),
)
BODIES = (
    *(
        "",
        "1/0",
        "raise SystemExit",
        "raise SystemExit(0)",
        "raise KeyError('x')",
        "raise BaseException",
    ),
    *(
        "import absent_module",
        "def get_config(): return None",
        "get_config = 3",
        "import sys; sys.exit()",
    ),
    *(
        "def get_config(x): return x",
        "def get_config(): raise RecursionError",
        "get_config = print",
    ),
    *(
        "class E(Exception):\n def __str__(self): raise OSError\nraise E",
        "def get_config(): 1 +",
        "\t x",
    ),
    *(
        "async def get_config(): pass",
        "def get_config(): yield 1",
        "def f(): f()\nf()",
        "exit()",
        "quit()",
    ),
    *("raise MemoryError", "raise GeneratorExit", "raise StopIteration", "raise InterruptedError"),
    *(
        "raise UnicodeDecodeError('a', b'', 0, 1, 'x\\ny')",
        "raise Exception('a\\nb\\x1b[2J')",
        "assert 0",
    ),
    *(
        "from hcft_jax import derive\ndef get_config(): return derive('absent')",
        "(" * 300,
        "0" * 5000,
    ),
    *(
        "from hcft_jax import derive\ndef get_config(): return derive('hcft', absent=1)",
        "x = " + "9" * 5000,
    ),
)


def fields() -> list[tuple[str, str]]:
    """Return all that can be set: owner and name."""
    return [
        (owner.__name__, field.name)
        for owner in (TrackerConfig, Experiment)
        for field in dataclasses.fields(owner)
    ]


def ready(experiment: Experiment) -> str:
    """Say what is wrong with an experiment that was accepted."""
    import jax

    for leaf in jax.tree.leaves(experiment.tracker):
        if not isinstance(leaf, int | float) or leaf != leaf or abs(leaf) == float("inf"):
            return f"a constant is {leaf!r}"
    experiment.settings()
    experiment.digest("0" * 64)
    label = experiment.folder("0" * 64)
    return "" if "/" not in label and len(label.encode()) < 255 else f"its folder is {label[:80]!r}"


def loaded(path: Path) -> Experiment:
    """Load a configuration as the command does."""
    return settings.override(settings.load(str(path)), {}).validate()


def _of_file(path: Path, sound: bytes) -> Case:
    return Case(lambda: loaded(path), ready)


@CONFIGS.kind("A field has a value of another kind, by the constructor or by derive().")
def field(rng: Rng, folder: Path) -> Case:
    owner, name = pick(rng, fields())
    value = str(pick(rng, VALUES))
    head = "import dataclasses\nfrom hcft_jax import derive\n"
    head += "from hcft_jax.experiment.settings import *\n"
    part = name if owner == "Experiment" else "tracker"
    made = f"{owner}({name}={value})"
    if owner == "TrackerConfig":
        made = f"Experiment('x', tracker={made})"
    elif name != "name":
        made = f"Experiment('x', {name}={value})"
    ways = (
        f"return {made}",
        f"return derive('lite0', {name}={value})",
        f"return dataclasses.replace(derive('hcft'), {part}={value})",
    )
    path = folder / "own.py"
    body = f"{head}from hcft_jax.core.config import TrackerConfig\ndef get_config():\n    "
    path.write_text(body + str(pick(rng, ways)) + "\n", encoding="utf-8", errors="surrogatepass")
    return _of_file(path, b"")


@CONFIGS.kind("A file that fails, ends the program, or has no get_config().")
def body(rng: Rng, folder: Path) -> Case:
    path = folder / "own.py"
    path.write_text(str(pick(rng, BODIES)) + "\n")
    return Case(lambda: loaded(path), ready, ("own.py", "config"))


@CONFIGS.kind("get_config() returns something else.")
def returned(rng: Rng, folder: Path) -> Case:
    path = folder / "own.py"
    path.write_text(f"def get_config():\n    return {pick(rng, VALUES)}\n")
    return Case(lambda: loaded(path), lambda _: "it is accepted", ("own.py",))


@CONFIGS.kind("A sweep that is empty, endless, of other things, or of two equal experiments.")
def sweep(rng: Rng, folder: Path) -> Case:
    head = "import dataclasses\nfrom hcft_jax import derive, product\ndef get_sweep():\n    return "
    value = str(pick(rng, VALUES))
    name = str(pick(rng, fields())[1])
    ways = (value, f"[{value}]", f"product('hcft', {name}={value})",
        f"product({value}, eta=(0.1,))",
            f"product('hcft', {name}=[{value}])", "[derive('hcft'), derive('hcft')]",
            "product('hcft')",
            "[derive('hcft', name='../x')]", "product('hcft', eta=(0.1, 0.1))", "[1]", "print",
            "[dataclasses.replace(derive('hcft'), name=n) for n in 'aA']")  # fmt: skip
    path = folder / "own.py"
    path.write_text(head + str(pick(rng, ways)) + "\n")

    def judge(found: sweeps.Sweep) -> str:
        return next(filter(None, map(ready, found.experiments)), "")

    return Case(lambda: sweeps.load(str(path)).validate(), judge)


@CONFIGS.kind("A name that is no configuration, or no path.")
def name(rng: Rng, folder: Path) -> Case:
    odd = ("", " ", "HCFT", "hcft.py", "x" * 5000, "../hcft", "hcft\0", "a\0.py", "/dev/stdin.py",
        "..", "otb/",
           "hcft,eta=1", "\ud800", "/.py", ".py", "hc\nft", "named", "__init__", "sweeps.ablation",
           "\u202ehcft")  # fmt: skip
    given = str(pick(rng, odd))
    return Case(lambda: settings.load(given).validate(), lambda _: "it is accepted", ("config",))


def _sound(rng: Rng, folder: Path) -> tuple[str, bytes]:
    text = (
        "from hcft_jax import derive\n\n\ndef get_config():\n    return derive('hcft', eta=0.02)\n"
    )
    return "own.py", text.encode()


add_changes(CONFIGS, {**BINARY, **TEXT}, _sound, _of_file)
add_no_files(CONFIGS, _sound, _of_file)
