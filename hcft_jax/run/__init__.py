"""Drivers of the tracker: frame by frame, sequences, many in lanes, settings, several targets."""
