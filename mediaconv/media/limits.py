"""How large a decoded input may be before it is refused: a header is a promise that memory must keep."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """Largest input that is decoded at all.

    max_pixels: pixels of one image or of one film frame.
    max_channels: channels of a sound, bands of an image.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_pixels: int = Field(default=2**28, ge=1, description="pixels of one image or film frame")
    max_channels: int = Field(default=256, ge=1, description="channels of a sound, bands of an image")
