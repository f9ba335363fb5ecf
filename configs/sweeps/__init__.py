"""The shipped sweeps: what ``--sweep`` knows; one file each."""
