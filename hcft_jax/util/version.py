"""The version of this package, which is stated here only."""

__version__ = "0.2.0"
