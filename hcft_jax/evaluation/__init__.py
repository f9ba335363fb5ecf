"""Scores, result files, tables, plots and the report: NumPy only, and no knowledge of a tracker."""
