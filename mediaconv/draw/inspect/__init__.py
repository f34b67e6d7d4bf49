"""A stack from inside, over files: kernels, maps, sums and values of every layer, as a page and as pictures.

inspect_config(load_config("c.yaml"), [Path("clip.mp4")]).save("inspect.html")
"""

from mediaconv.draw.inspect.inspection import Inspection, inspect_config

__all__ = ["Inspection", "inspect_config"]
