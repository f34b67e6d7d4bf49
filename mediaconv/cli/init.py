"""`mediaconv init`: a first configuration for a file or a folder of one's own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mediaconv.cli.options import tell

if TYPE_CHECKING:
    from mediaconv.guide.propose_stack import Proposal


def init(
    input: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE_OR_FOLDER",
            help="a media file, a folder of them, or a model (.onnx, .pt2, an installed name)",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="YAML", help="default: NAME.yaml here")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="a model (.onnx, .pt2) or weights (.safetensors, .pt)"),
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--pipeline", help="read it as audio, image or video; default: as it is")
    ] = None,
    list: Annotated[bool, typer.Option("--list", help="the examples that come along, by purpose")] = False,
) -> None:
    """Write a commented configuration that runs as it stands; never over a file.

    With --from its stack is proposed by the keys and shapes of the weights; what they do not tell is marked.
    """
    from mediaconv.errors import UsageError

    if list:
        _list()
        return
    if input is None:
        raise UsageError(
            "init: give a media file, a folder or a model, or --list for the examples that come along"
        )
    from mediaconv.guide.input_kind import input_kind
    from mediaconv.guide.propose_stack import WEIGHTS, propose_stack
    from mediaconv.guide.starter import default_output, starter

    if weights is None and _is_model(input):
        _for_model(input, output, kind)
        return
    if Path(input).suffix.lower() in WEIGHTS and weights is None and Path(input).is_file():
        raise UsageError(
            f"{input}: holds weights, which do not tell what they run over; name a media file or a folder, "
            f"too: mediaconv init YOUR_FILE --from {shlex.quote(input)}"
        )
    media = input_kind(Path(input), kind=kind)
    proposal = None if weights is None else propose_stack(weights, media.pipeline.name)
    path = output or Path(f"{Path(default_output(Path(input))).name}.yaml")
    _refuse_there(path)
    if proposal is not None:
        _fit(proposal, path, len(media.pipeline.axes), f"{input} ({media.pipeline.name})")
    made = starter(media, proposal=proposal)
    name = str(path)
    shown = shlex.quote(name) if name.isprintable() else repr(name)
    text = made.text.replace("THIS.yaml", shown)
    _write(path, text.encode())
    unknown = "" if proposal is None else _unknown(proposal)
    tell(f"{path}: for {media.words}{unknown}\nnext: mediaconv run {shown}")


def _is_model(name: str) -> bool:
    """Whether it is a model's file or the name of an installed one. Raises UsageError for code."""
    from mediaconv.errors import UsageError
    from mediaconv.guide.propose_stack import MODELS
    from mediaconv.model_files.open_model import installed_names
    from mediaconv.model_files.typed_code import code_of

    if code_of(name) is not None or name.endswith(".py"):
        code = shlex.quote(name if code_of(name) else f"{name}:FUNCTION")
        raise UsageError(
            f"{name}: is code, which no configuration names; without one: mediaconv validate --model {code}, "
            f"mediaconv run YOUR_FILE --model {code}"
        )
    return Path(name).suffix.lower() in MODELS or (not Path(name).exists() and name in installed_names())


def _for_model(model: str, output: Path | None, kind: str | None) -> None:
    from mediaconv.guide.model_starter import PLACEHOLDER, model_starter

    path = output or Path(f"{Path(model).stem}.yaml")
    _refuse_there(path)
    made = model_starter(model, kind=kind)
    shown = shlex.quote(str(path))
    _write(path, made.text.replace("THIS.yaml", shown).encode())
    tell(f"{path}: for {made.words}\nnext: mediaconv run {shown} --input {PLACEHOLDER}")


def _fit(proposal: Proposal, path: Path, dims: int, what: str) -> None:
    """Refuse weights of other axes; write renamed tensors beside the configuration."""
    from mediaconv.errors import UsageError

    if proposal.dims not in (None, dims):
        raise UsageError(
            f"from: its convolutions have {proposal.dims} axes, {what} has {dims}; "
            "give an input of that kind, or --pipeline"
        )
    if proposal.renamed is None:
        return
    from safetensors.torch import save

    target = path.with_suffix(".safetensors")
    _refuse_there(target)
    _write(target, save({key: tensor.contiguous() for key, tensor in proposal.renamed.items()}))
    proposal.weights = str(target)


def _unknown(proposal: Proposal) -> str:
    marked = sum("UNKNOWN" in line for line in proposal.lines)
    return f"; {marked} line{'s' * (marked != 1)} marked UNKNOWN: look at them first" if marked else ""


def _refuse_there(path: Path) -> None:
    import os

    from mediaconv.errors import UsageError

    if os.path.lexists(path):
        raise UsageError(
            f"{path}: is there already, and init writes over no file; choose another name with -o"
        )


def _write(path: Path, data: bytes) -> None:
    from mediaconv.errors import WriteError
    from mediaconv.filesystem import make_folders, write_whole

    try:
        make_folders(path.parent)
        write_whole(path, data, fresh=True)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}") from error


def _list() -> None:
    from rich.console import Console
    from rich.table import Table

    from mediaconv.guide.shipped import shipped

    examples = shipped()
    table = Table(box=None, pad_edge=False)
    table.add_column("configuration", no_wrap=True)
    table.add_column("what it is for")
    for entry in examples:
        table.add_row(entry.name, entry.purpose)
    console = Console(highlight=False)
    console.print(table, markup=False) if examples else print("no examples are installed")
    if examples:
        console.print(f"they lie in {examples[0].path.parent}", markup=False, soft_wrap=True)
