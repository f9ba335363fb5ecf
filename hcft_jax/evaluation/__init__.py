"""Scores, result files and tables. Nothing here knows the tracker."""
