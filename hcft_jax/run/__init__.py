"""Drivers of the tracker: one sequence, many in lanes, settings side by side, several targets."""
