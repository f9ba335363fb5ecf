"""The command that fetches, converts and checks files of network parameters.

::

    python -m hcft_jax.weights fetch [--backbone=vgg19|alexnet]
    python -m hcft_jax.weights convert SOURCE DEST [--preset=torchvision|caffe]
    python -m hcft_jax.weights check FILE
"""

import argparse
from collections.abc import Sequence

from hcft_jax.backbones import registry
from hcft_jax.util import entry
from hcft_jax.util.errors import finish
from hcft_jax.weights import importers
from hcft_jax.weights.lookup import check, convert, fetch


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = entry.Arguments(prog="python -m hcft_jax.weights")
    commands = parser.add_subparsers(dest="command", required=True)
    parts = commands.add_parser("fetch", help="download a backbone's public file into the cache")
    parts.add_argument("--backbone", choices=registry.BACKBONES, default=registry.DEFAULT)
    parts.add_argument("--url", help="the address of a mirror of that file")
    parts = commands.add_parser("convert", help="write another program's file as a native one")
    parts.add_argument("source")
    parts.add_argument("dest")
    parts.add_argument("--preset", choices=importers.PRESETS, help="which training a .pth file has")
    commands.add_parser("check", help="self-test of a file").add_argument("path")
    return finish(lambda: _work(parser.parse_args(arguments)))


def _work(options: argparse.Namespace) -> int:
    if options.command == "check":
        return 0 if check(options.path) else 1
    if options.command == "fetch":
        path = fetch(options.backbone, options.url)
        print(f"{registry.get(options.backbone).title} is in {path}")
    else:
        weights = convert(options.source, options.dest, options.preset)
        origin, order = weights.metadata["origin"], weights.metadata["source_channel_order"]
        mean, std = (weights.params["normalization"][key] for key in ("mean", "std"))
        about = f"mean {mean}" if mean.size == 3 else f"mean image {mean.shape}"
        print(
            f"{options.source}: {weights.backbone.title}, {origin['preset']}, channels {order} "
            f"-> RGB, {about}, std {std}"
        )
        if architecture := weights.params.get("architecture"):
            print(f"{options.source}: {architecture}")
        print(f"{options.dest}: written, digest {weights.digest}")
    return 0


if __name__ == "__main__":
    entry.guarded(main)
