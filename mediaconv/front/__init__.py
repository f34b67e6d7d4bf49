"""The functions of `import mediaconv`: what the commands do, from Python. Torch loads when one is called."""

from mediaconv.front.configured import compare, load_config, load_stack, prove, run, trace
from mediaconv.front.convert_input import convert

__all__ = ["compare", "convert", "load_config", "load_stack", "prove", "run", "trace"]
