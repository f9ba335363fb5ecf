"""The version of this package, stated here only."""

__version__ = "0.2.0"
