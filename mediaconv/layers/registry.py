"""Which layers there are, ours and installed plug-ins by one door; a stack's layers checked and walked.

A plug-in names a `LayerSpec` in the entry-point group `mediaconv.layers`; it is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Annotated, Any, TypeVar

from mediaconv.config.problems import MOST_PROBLEMS, Problem, failure, wrong
from mediaconv.config.section import parse_named
from mediaconv.config.validation_context import ValidationContext
from mediaconv.config.values import Rule, each
from mediaconv.errors import UsageError
from mediaconv.installed import installed
from mediaconv.layers.layer_spec import Layers as _Layers
from mediaconv.layers.layer_spec import LayerSpec

GROUP = "mediaconv.layers"
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "convolution": ("conv",),
    "transposed": ("conv_transpose",),
    "deformable": ("deform_conv",),
    "pooling": ("max_pool", "avg_pool"),
    "resampling": ("upsample",),
    "shuffle": ("pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
    "norms": ("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm"),
    "gated": ("gated",),
    "containers": ("residual", "branches"),
    "reshape": ("reshape",),
    "dropout": ("dropout",),
    "model": ("model",),
    "activations": (
        *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "celu", "selu", "gelu", "silu", "mish"),
        *("tanh", "sigmoid", "logsigmoid", "softplus", "softsign", "hardtanh", "hardswish", "hardsigmoid"),
        *("tanhshrink", "hardshrink", "softshrink", "threshold"),
        *("softmax", "softmin", "log_softmax", "glu", "identity"),
    ),
}
"""Our modules with the layers of each, in the order in which errors and documents list them: a stack of a
few layers loads their modules alone, in a third of the time of all."""
_FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names}
MAX_LAYERS = 1000
"""Of a file, those inside others included: more are a mistake, and would take minutes to build."""

S = TypeVar("S", bound=type[LayerSpec])


class LayerRegistry(Mapping[str, type[LayerSpec]]):
    """Layers by YAML name. A family of ours is imported where a layer of it is used or all are listed, a
    plug-in where its name is used."""

    def __init__(self) -> None:
        self._kinds: dict[str, type[LayerSpec]] = {}
        self._found: dict[str, EntryPoint] | None = None
        self._complete = False

    def add(self, kind: type[LayerSpec]) -> None:
        """Take a layer in. Raises UsageError where its name belongs to another one."""
        family = _FAMILY_OF.get(kind.name)
        if family is not None and kind.__module__ != f"{__package__}.{family}":
            self._import(family)
        if self._kinds.setdefault(kind.name, kind) is not kind:
            raise UsageError(f"layer: the name {kind.name} is taken by {_origin(self._kinds[kind.name])}")

    def _import(self, family: str) -> None:
        import_module(f"{__package__}.{family}")

    def _plugins(self) -> dict[str, EntryPoint]:
        if self._found is None:
            self._found = {entry.name: entry for entry in installed(GROUP)}
        return self._found

    def __getitem__(self, name: str) -> type[LayerSpec]:
        entry = self._plugins().get(name)
        if entry is not None:
            kind = entry.load()
            if not (isinstance(kind, type) and issubclass(kind, LayerSpec) and kind.name == name):
                raise UsageError(f"layer: {entry.value} is no LayerSpec whose name is {name}")
            self.add(kind)
        elif name in _FAMILY_OF:
            self._import(_FAMILY_OF[name])
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        if not self._complete:
            for family in FAMILIES:
                self._import(family)
            self._kinds = dict(sorted(self._kinds.items(), key=lambda item: _rank(item[1])))
            self._complete = True
        return iter(dict.fromkeys([*self._kinds, *self._plugins()]))

    def __contains__(self, name: object) -> bool:
        return name in _FAMILY_OF or name in self._kinds or name in self._plugins()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def usable(self) -> dict[str, type[LayerSpec]]:
        """All but the plug-ins that cannot be loaded, for documents; using one of those says why."""
        kinds = {}
        for name in self:
            try:
                kinds[name] = self[name]
            except Exception:
                continue
        return kinds


def _rank(kind: type[LayerSpec]) -> int:
    """The place of a layer's family, whichever was imported first; others come after ours."""
    package, _, family = kind.__module__.rpartition(".")
    families = list(FAMILIES)
    return families.index(family) if package == __package__ and family in families else len(families)


def _origin(kind: type[LayerSpec]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


LAYERS = LayerRegistry()


def register(kind: S) -> S:
    """Make a layer known by its `name` in this process: the decorator of our own, and of a notebook's.

    Worker processes know only layers that are installed. Raises UsageError where the name is taken.
    """
    LAYERS.add(kind)
    return kind


def parse_layer(value: Any, context: ValidationContext | None) -> LayerSpec:
    """One item of a stack: `relu`, or `{conv: {...}}`. Raises ValidationError."""
    try:
        return parse_named(value, LAYERS, "layer", context)
    except (UsageError, ImportError, AttributeError, SyntaxError) as error:
        text = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
        raise failure([Problem((), f"a layer cannot be loaded: {text}")]) from error


def list_of_layers(least: int) -> Rule:
    """The annotation of a stack, as a tuple of at least so many layers."""
    words = "a list of layers, one at least" if least else "a list of layers"

    def check(value: Any, context: ValidationContext | None) -> _Layers:
        if not isinstance(value, list | tuple) or len(value) < least:
            raise wrong(value, words)
        if len(value) > MAX_LAYERS:
            each(value[:MOST_PROBLEMS], parse_layer, context)
            raise failure([Problem((), f"got {len(value)} layers, expected at most {MAX_LAYERS}")])
        return each(value, parse_layer, context)

    schema = {"type": "array", "items": {"x-choice": "layer"}}
    return Rule(check, {**schema, "minItems": least} if least else schema)


Layers = Annotated[_Layers, list_of_layers(1)]
Path = Annotated[_Layers, list_of_layers(0)]


def walk(
    stack: Sequence[LayerSpec], *, path: tuple[str | int, ...] = ("stack",)
) -> Iterator[tuple[tuple[str | int, ...], LayerSpec]]:
    """All layers in order, those inside a residual or a branch after the one that holds them.

    The path of a layer leads to it from the top of a resolved file: `("stack", 1, "residual", "layers", 0)`.
    """
    for i, spec in enumerate(stack):
        yield (*path, i), spec
        for keys, layers, _ in spec.inner():
            yield from walk(layers, path=(*path, i, spec.name, *keys))
