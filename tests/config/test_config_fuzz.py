"""Whatever a file holds, reading it gives a configuration or a ConfigError, and never anything else."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mediaconv.config import RunConfig, dump_config, parse_config
from mediaconv.config.normalizers import NORMALIZERS
from mediaconv.errors import ConfigError
from mediaconv.layers import LAYERS
from mediaconv.layers.filters.filter_keys import KERNELS
from mediaconv.layers.keys.initializers import INITIALIZERS

# many examples are wrong at once, which is the point: generating them is allowed to be slow
quick = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))

_KEYS = sorted(
    {*RunConfig.model_fields, *LAYERS, *KERNELS, *INITIALIZERS, *NORMALIZERS}
    | {key for kind in [*LAYERS.values(), *KERNELS.values()] for key in kind.model_fields}
)
_WORDS = [
    *_KEYS,
    "auto",
    "same",
    "valid",
    "pad",
    "mask",
    "raster",
    "video",
    "audio",
    "image",
    "A",
    "1e-3",
    "",
]
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.integers(),
    st.floats(),
    st.sampled_from(_WORDS),
    st.text(st.characters(codec="utf-8"), max_size=6),
    st.dates(),
)
_KEY = st.one_of(
    st.sampled_from(_KEYS), st.text(st.characters(codec="utf-8"), max_size=4), st.integers(), st.none()
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_KEY, inner, max_size=5)),
    max_leaves=25,
)


def _options(kinds: dict[str, Any]) -> st.SearchStrategy[Any]:
    """One of the kinds with some of its own keys and any values."""
    return st.one_of(
        st.sampled_from(sorted(kinds)),
        st.sampled_from(sorted(kinds)).flatmap(
            lambda name: st.fixed_dictionaries(
                {
                    name: st.dictionaries(
                        st.sampled_from(sorted(kinds[name].model_fields) or ["x"]), _VALUES, max_size=6
                    )
                }
            )
        ),
    )


_FILES = st.fixed_dictionaries(
    {"stack": st.lists(_options(LAYERS), max_size=4)},
    optional={
        "pipeline": st.sampled_from(["audio", "image", "video", "broken"]),
        "input": st.just("a"),
        "output": st.just("b"),
        "causal": st.one_of(
            st.sampled_from([True, False, "pad", "mask", "raster", {"raster": "A"}]), _VALUES
        ),
        "normalize": _options(NORMALIZERS),
        "read": _VALUES,
        "write": _VALUES,
        "ray": _VALUES,
        "limits": _VALUES,
        "include": _VALUES,
    },
)


def _check(text: str, **options: Any) -> None:
    try:
        config = parse_config(text, name="x.yaml", **options)
    except ConfigError as error:
        lines = str(error).split("\n")
        assert all(line.startswith(("x.yaml", "--set ")) for line in lines)
        assert len(set(lines)) == len(lines)
    else:
        assert parse_config(dump_config(config)) == config


@quick
@given(st.dictionaries(st.sampled_from(sorted(RunConfig.model_fields)), _VALUES))
def test_any_mapping(content: dict[str, Any]) -> None:
    _check(yaml.safe_dump(content, allow_unicode=True))


@quick
@given(_FILES)
def test_nearly_right_files(content: dict[str, Any]) -> None:
    _check(yaml.safe_dump(content, allow_unicode=True))


@quick
@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    _check(text)


@quick
@given(st.text("seed.stackonv013=[]{}:-, '&*\n", max_size=25))
def test_any_override(option: str) -> None:
    text = "pipeline: audio\ninput: a\noutput: b\nstack: [{conv: {out_channels: 1, kernel_size: 3}}]\n"
    _check(text, overrides=[option.replace("\n", " ")])


def _some(**options: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any selection of these keys."""
    return st.fixed_dictionaries({}, optional=options)


def _named(name: str, options: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return options.map(lambda chosen: {name: chosen})


_SIZE = st.one_of(
    st.integers(1, 5), st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)).map(list)
)
_CONV = st.builds(
    lambda needed, more: {**needed, **more},
    st.fixed_dictionaries({"out_channels": st.integers(1, 4).map(lambda n: 2 * n), "kernel_size": _SIZE}),
    _some(
        stride=_SIZE,
        dilation=_SIZE,
        groups=st.sampled_from([1, 2]),
        bias=st.booleans(),
        padding=st.sampled_from(["same", ["same", 1, "valid"]]),
        padding_mode=st.sampled_from(["zeros", "replicate"]),
        causal=st.sampled_from([True, False, "pad", "mask"]),
        init=st.sampled_from(["orthogonal", {"normal": {"std": 1e-05}}, {"constant": {"val": -3}}]),
    ),
)
_FLAT = st.one_of(
    _named("conv", _CONV),
    _named("gated", _CONV),
    st.sampled_from(["relu", "gated", "rms_norm", {"batch_norm": None}, {"softplus": {"beta": 1e30}}]),
    _named(
        "conv",
        st.fixed_dictionaries({"kernel": st.sampled_from(["box", {"sobel": {"axis": "t"}}, "motion"])}),
    ),
    _named(
        "upsample",
        st.fixed_dictionaries({"scale_factor": _SIZE, "mode": st.sampled_from(["nearest", "linear"])}),
    ),
)
_RIGHT = st.recursive(
    _FLAT,
    lambda inner: st.one_of(
        _named("residual", st.lists(inner, min_size=1, max_size=3)),
        _named("branches", st.lists(st.lists(inner, max_size=2), min_size=1, max_size=3)),
        _named("residual", st.fixed_dictionaries({"layers": st.lists(inner, min_size=1, max_size=2)})),
    ),
    max_leaves=6,
)
_LETTERS = st.characters(codec="utf-8", exclude_characters="\0") | st.integers(0xDC80, 0xDCFF).map(chr)
"""Of names of files: bytes that are no text are half characters."""
_PATHS = st.text(_LETTERS, min_size=1, max_size=8).filter(str.strip)


@quick
@example(["relu"], "a\x85b\u2028", {"include": ["1e3", "yes", "- x", "#", " a ", "a\n b"]})
@given(
    st.lists(_RIGHT, min_size=1, max_size=4),
    _PATHS,
    _some(
        causal=st.sampled_from([True, False, "pad", "mask"]),
        weights=_PATHS,
        chunk=st.one_of(st.just("auto"), st.integers(1, 2**40)),
        timeout_seconds=st.floats(1e-300, 1e300),
        include=st.lists(_PATHS),
        normalize=st.sampled_from(["none", {"sigmoid": {"gain": 4}}, {"clip": {"low": -1}}]),
        read=_some(
            fps=st.fractions(1e-6).map(str),
            size=st.tuples(st.integers(-9, 2**40), st.integers(1, 9)).map(list),
        ),
    ),
)
def test_a_right_file_comes_back_from_its_dump(stack: list[Any], path: str, more: dict[str, Any]) -> None:
    content = {"pipeline": "video", "input": path, "output": "o", "stack": stack, **more}
    config = RunConfig.model_validate(content)
    text = dump_config(config)
    assert parse_config(text) == config
    assert dump_config(parse_config(text)) == text
