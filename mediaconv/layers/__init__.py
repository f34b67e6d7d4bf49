"""A layer in YAML: its keys, checks and builder together, one file a family; the door for layers of others.

    from mediaconv.layers import BuildContext, LayerSpec

What a layer computes is in `mediaconv.nn`. Nothing here imports torch before a layer is built.
"""

from mediaconv.layers.layer_spec import BuildContext, CausalLayer, LayerSpec
from mediaconv.layers.registry import LAYERS, register, walk

__all__ = ["LAYERS", "BuildContext", "CausalLayer", "LayerSpec", "register", "walk"]
