"""Whatever a file holds, reading it gives a configuration or a ConfigError, and never anything else."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediaconv.config import LAYERS, RunConfig, dump_config, parse_config
from mediaconv.config.initializers import INITIALIZERS
from mediaconv.config.kernels import KERNELS
from mediaconv.config.normalizers import NORMALIZERS
from mediaconv.errors import ConfigError

# many examples are wrong at once, which is the point: generating them is allowed to be slow
quick = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))

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
