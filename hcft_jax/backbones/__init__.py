"""Networks whose feature maps the tracker uses, as pure functions of their parameters."""
