"""Networks whose feature maps are tracked on, and where their parameters come from."""
