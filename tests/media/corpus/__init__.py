"""Files over containers, codecs, sample and pixel formats, each with what an independent decoder reads.

`python -m tests.media.corpus` makes and checks all of them and writes docs/reference/formats.md.
"""
