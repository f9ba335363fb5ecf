"""The main job: protocols over sequences, one result file per run."""
