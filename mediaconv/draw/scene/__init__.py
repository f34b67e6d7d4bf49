"""A picture as shapes, and what draws them: panels, cells, palette, pixels, SVG."""
