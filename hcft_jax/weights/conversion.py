"""What the command for files of network parameters does: it fetches, converts and checks them."""

from absl import flags

from hcft_jax.backbones import registry
from hcft_jax.util.errors import InputError, SettingError, finish
from hcft_jax.util.names import listed, near
from hcft_jax.weights import importers
from hcft_jax.weights.lookup import check, convert, fetch

_WORDS = {"fetch": "", "convert": "SOURCE DEST", "check": "FILE"}


def main(argv: list[str], given: flags.FlagValues) -> int:
    """Do what the words of the command ask for; return the exit status.

    Args:
        argv: The name of the command, ``fetch``, ``convert`` or ``check``, and the files.
        given: The flags.
    """
    return finish(lambda: _work(*_words(argv[1:]), given))


def _words(words: list[str]) -> tuple[str, list[str]]:
    """Return what is to be done, and with which files.

    Raises:
        InputError: That is not one of the three, or has other files.
    """
    if not words or words[0] not in _WORDS:
        said = f"{words[0][:60]!r}: " if words else ""
        raise InputError(f"{said}give one of fetch, convert SOURCE DEST, check FILE")
    do, *files = words
    if len(files) != len(_WORDS[do].split()):
        raise InputError(f"{do}: give {_WORDS[do] or 'no files'}, not {' '.join(files) or 'none'}")
    return do, files


def _work(do: str, files: list[str], given: flags.FlagValues) -> int:
    if do == "check":
        return 0 if check(files[0]) else 1
    if do == "fetch":
        network = registry.get(given.backbone or registry.DEFAULT)
        path = fetch(network.name, given.url)
        print(f"{network.title} is in {path}")
        return 0
    source, dest = files
    if given.preset is not None and given.preset not in importers.PRESETS:
        known = f"{near(given.preset, importers.PRESETS)}; {listed(importers.PRESETS)}"
        raise SettingError("preset", f"no {given.preset!r}{known}")
    weights = convert(source, dest, given.preset)
    origin, order = weights.metadata["origin"], weights.metadata["source_channel_order"]
    mean, std = (weights.params["normalization"][key] for key in ("mean", "std"))
    about = f"mean {mean}" if mean.size == 3 else f"mean image {mean.shape}"
    print(
        f"{source}: {weights.backbone.title}, {origin['preset']}, channels {order} "
        f"-> RGB, {about}, std {std}"
    )
    if architecture := weights.params.get("architecture"):
        print(f"{source}: {architecture}")
    print(f"{dest}: written, digest {weights.digest}")
    return 0
