"""Groups of keys that several layers share, and what they do to a layer's weights."""
