"""Commands in this process, with flags of their own."""

from typing import Protocol

from absl import flags


class Part(Protocol):
    """The module of a command."""

    def main(self, argv: list[str], given: flags.FlagValues) -> int:
        """Work."""

    def define_flags(self, into: flags.FlagValues) -> None:
        """Define the flags."""


def call(part: Part, *arguments: str) -> int:
    """Run a command on arguments; the exit status."""
    values = flags.FlagValues()
    part.define_flags(values)
    values.set_gnu_getopt()
    return part.main(list(values(["command", *arguments])), values)
