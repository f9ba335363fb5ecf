"""The small benchmark and result folders of the exhibits' tests."""

from tests.exhibits.conftest import folder, small, write

__all__ = ["folder", "small", "write"]
