"""The key `weights`: a file, and which part of it holds the numbers of the stack. Nothing is read here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from mediaconv.config.section import Section
from mediaconv.config.validation_context import ValidationContext
from mediaconv.config.values import Flag, Rule, path, text

_PATH = path("a path of a .safetensors file")


class WeightsFile(Section):
    """A file of weights. Spelt as its path alone where nothing else is said."""

    file: Annotated[str, _PATH] = Field(
        description="with the state_dict of the stack: .safetensors, the .safetensors.index.json of several, "
        "or torch's .pt and .pth"
    )
    key: Annotated[str, text("a key of the checkpoint, such as model or state.generator")] | None = Field(
        default=None,
        description="where the state_dict stands in a checkpoint, such as `model`; dots lead further in; "
        "default: at its top, or under state_dict",
    )
    prefix: Annotated[str, text("the start of names, such as 'module.'")] | None = Field(
        default=None,
        description="only names that begin so are taken, without it: `module.` of DataParallel, `decoder.`",
    )
    strict: Flag = Field(
        default=True,
        description="false: names that only one of file and stack has are passed over; what the file "
        "lacks is drawn from the seed",
    )

    @model_serializer(mode="wrap")
    def _short(self, handler: SerializerFunctionWrapHandler) -> Any:
        return handler(self) if self.selection else self.file

    @property
    def selection(self) -> dict[str, Any]:
        """What is said beyond the path."""
        return {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if name != "file" and getattr(self, name) != field.default
        }


def _check(value: Any, context: ValidationContext | None) -> WeightsFile:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, Mapping | WeightsFile):
        return WeightsFile.model_validate(value, context=context)
    return WeightsFile(file=_PATH.check(value, context))  # an error names no key `file`, which is not there


WeightsField = Annotated[WeightsFile, Rule(_check, {"x-model": "weights"})]
