"""The paper: the tracker as pure functions of arrays, from a frame to a box."""
