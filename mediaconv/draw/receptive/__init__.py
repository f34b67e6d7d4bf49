"""The receptive field drawn: by formula and measured."""
