"""The versions of this package and of its method, which are stated here only."""

__version__ = "0.2.0"

METHOD_VERSION = 1
"""Which boxes the same frames, settings and weights give: to be raised whenever these may change.

Results keep it, and those of another one are tracked anew. Last digits that differ from one device
or version of JAX to another are no change of the method.
"""
