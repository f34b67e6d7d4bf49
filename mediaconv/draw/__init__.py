"""Pictures of the user's own layers: convolution sliding, a stack traced, receptive fields, feature maps.

from mediaconv.draw.animate.animation import animate       # GIF, MP4, SVG, HTML, PNG; a notebook shows it
from mediaconv.nn.summary.trace import trace             # a row a layer, as data
from mediaconv.nn.summary.receptive_field import receptive     # measured by gradient, beside the formula
"""
