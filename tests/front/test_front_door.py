"""What `import mediaconv` gives, and what it does not load."""

import importlib
import inspect
import subprocess
import sys

import pytest

import mediaconv

FUNCTIONS = [name for name in mediaconv.__all__ if name != "__version__"]


def python(code: str) -> str:
    """What a fresh Python prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_public_name_is_there_and_listed():
    assert set(mediaconv.__all__) <= set(dir(mediaconv))
    front = importlib.import_module("mediaconv.front")
    for name in FUNCTIONS:
        function = getattr(mediaconv, name)
        assert callable(function)
        assert inspect.signature(function) == inspect.signature(getattr(front, name))
    with pytest.raises(AttributeError, match="no attribute 'convrt'"):
        _ = mediaconv.convrt


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_is_typed_and_has_an_example(name):
    function = getattr(importlib.import_module("mediaconv.front"), name)
    assert ">>> import mediaconv" in function.__doc__
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())


def test_importing_loads_no_torch_and_nothing_else_that_is_large():
    code = "import sys, mediaconv; mediaconv.__version__, mediaconv.run, mediaconv.load_config\n"
    code += "print(sorted({'torch', 'numpy', 'cv2', 'av', 'numba', 'pydantic'} & set(sys.modules)))"
    assert python(code) == "[]"


def test_a_configuration_is_checked_without_torch():
    stack = '[{"conv": {"out_channels": 1, "kernel_size": 3}}]'
    code = f"""
import sys, mediaconv
mediaconv.load_config({{"pipeline": "audio", "input": "a", "output": "b", "stack": {stack}}})
print("torch" in sys.modules)
"""
    assert python(code) == "False"


@pytest.mark.parametrize("name", ["run", "compare"])
def test_a_room_of_the_same_name_does_not_hide_the_function(name):
    module = {"run": "mediaconv.run.jobs.plan", "compare": "mediaconv.compare.causal_pair"}[name]
    code = f"""
import inspect, mediaconv
before = inspect.signature(mediaconv.{name})
import {module}
assert inspect.signature(mediaconv.{name}) == before
assert {module}.__name__ == {module!r}
try:
    mediaconv.{name}({{}})
except mediaconv.errors.ConfigError as error:
    print(str(error).splitlines()[0])
"""
    assert python(code).startswith("pipeline: is required")
