"""The tracker as programs that run without this package (StableHLO)."""
