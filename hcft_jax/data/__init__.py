"""Sequences: data set layouts, frame streams and drawn ones."""
