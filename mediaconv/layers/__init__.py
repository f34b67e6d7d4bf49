"""Layers as a configuration names them: keys, checks, construction."""
