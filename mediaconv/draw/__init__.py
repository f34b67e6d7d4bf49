"""Pictures of the user's own layers: convolution sliding, a stack traced, receptive fields, feature maps.

from mediaconv.draw.animation import animate       # GIF, MP4, SVG, HTML, PNG; a notebook shows it
from mediaconv.draw.trace import trace             # a row a layer, as data
from mediaconv.draw.receptive import receptive     # measured by gradient, beside the formula
"""
