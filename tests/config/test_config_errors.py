"""What a wrong file says: each problem with its line, key, what was found, what is allowed, the nearest name."""

# ruff: noqa: E501  a table has one case a line

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from mediaconv.config import load_config, parse_config
from mediaconv.errors import ConfigError

HEAD = "pipeline: {}\ninput: in\noutput: out\n"


def errors(text: str, **options: object) -> list[str]:
    """The lines of the ConfigError that a text causes."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, name="x.yaml", **options)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2
    return str(caught.value).split("\n")


def only(text: str, **options: object) -> str:
    """The one line."""
    lines = errors(text, **options)
    assert len(lines) == 1, lines
    return lines[0]


TOP = [  # a line beside a right file, and what is said of it at line 5
    ("seed: -1", "seed: got -1, expected an integer >= 0"),
    ("seed: true", "seed: got true, expected an integer >= 0"),
    ("seed: 1.5", "seed: got 1.5, expected an integer >= 0"),
    ("seed:", "seed: got nothing, expected an integer >= 0"),
    ("seed: 99999999999999999999", "seed: got '99999999999999999999', expected a number of at most 64 bits"),
    ("causal: treu", "causal: got 'treu', expected false, true, pad, mask, raster, {raster: A} or"),
    ("causal: pda", "(did you mean 'pad'?)"),
    ("causal: {raster: C}", "causal.raster: got 'C', expected A or B"),
    ("device: cdua", "device: got 'cdua', expected auto, cpu, cuda, cuda:N or mps (did you mean 'cuda'?)"),
    ("device: gpu", "(did you mean 'cuda'?)"),
    ("device: cuda:x", "device: got 'cuda:x', expected auto"),
    ("precision: float8", "precision: got 'float8', expected 'float32', 'float64', 'bfloat16' or 'float16'"),
    ("chunk: 0", "chunk: got 0, expected auto or an integer >= 1"),
    ("chunk: atuo", "chunk: got 'atuo', expected auto or an integer >= 1 (did you mean 'auto'?)"),
    ("causal: 'true'", "{raster: B}; write it without quotes"),
    ("weights: 3", "weights: got 3, expected a path of a .safetensors file; put it in quotes"),
    ("workers: 0", "workers: got 0, expected auto or an integer >= 1"),
    (
        "executor: proces",
        "executor: got 'proces', expected 'auto', 'serial', 'process' or 'ray' (did you mean 'process'?)",
    ),
    ("timeout_seconds: 0", "timeout_seconds: got 0, expected a number > 0"),
    ("timeout_seconds: .inf", "timeout_seconds: got .inf, expected a finite number"),
    ("max_failures: -1", "max_failures: got -1, expected an integer >= 0"),
    ("include: [a, 3]", "include[1]: got 3, expected a pattern, such as '*.mp4'"),
    (
        "limits: {max_pixel: 3}",
        "limits.max_pixel: got an unknown key, expected one of max_pixels, max_channels, max_repeats, max_memory (did",
    ),
    ("limits: {max_pixels: true}", "limits.max_pixels: got true, expected a number"),
    ("read: {fps: true}", "read.fps: got true, expected a number"),
    ("limits: {max_pixels: 0}", "limits.max_pixels: got 0, expected an integer >= 1"),
    ("ray: {num_cpus: 0}", "ray.num_cpus: got 0, expected a number > 0"),
    ("ray: {resources: {a: 1, b: -1}}", "ray.resources.b: got -1, expected a number >= 0"),
    ("read: 3", "read: got 3, expected a mapping with keys of fps, size, channels, start_seconds"),
    (
        "read: {chanels: mono}",
        "read.chanels: got an unknown key, expected one of fps, size, channels, start_seconds (did",
    ),
    ("read: {channels: momo}", "read.channels: got 'momo', expected 'mono' or 'keep' (did you mean 'mono'?)"),
    ("read: {size: [1]}", "read.size: got [1], expected an integer or a list like [int, int]"),
    ("read: {size: [1, x]}", "read.size: got [1, 'x'], expected an integer or a list like [int, int]"),
    ("read: {fps: 1/0}", "read.fps: got '1/0', expected a number, or a fraction such as 24000/1001"),
    ("read: {start_seconds: 1:30}", "read.start_seconds: got '1:30', expected a number"),
    ("include: *.mp4", "not valid YAML: put text that begins with one of * & @ % in quotes"),
    ("read: {start_seconds: -1}", "read.start_seconds: got -1, expected a number >= 0"),
    ("write: {bit_depth: 9}", "write.bit_depth: got 9, expected 8, 16 or 'float'"),
    ("write: {crf: 5, lossless: true}", "write.crf: got 5, lossless has none; leave one of them out"),
    (
        "normalize: sigmod",
        "normalize: got 'sigmod', expected one of the normalizers: sigmoid, tanh, clip, minmax, none (did",
    ),
    (
        "normalize: {sigmoid: {gian: 4}}",
        "normalize.sigmoid.gian: got an unknown key, expected one of gain, bias (did you mean",
    ),
    ("normalize: {sigmoid: {gain: x}}", "normalize.sigmoid.gain: got 'x', expected a number"),
    ("normalize: {clip: {low: 1, high: 0}}", "normalize.clip.high: got 0, expected more than low, 1"),
    ("stakc: []", "stakc: got an unknown key, expected one of pipeline, input, output, seed, causal,"),
    ("output: there", "output: is given twice, first at x.yaml:3"),
    ("on: 3", "on: got an unknown key"),
    ("[a, b]: 3", "got a list or mapping as a key, expected a name"),
    (
        "seed: !!python/name:os.system x",
        "seed: got the tag tag:yaml.org,2002:python/name:os.system, expected a value",
    ),
    ("<<: 3", "got '<<' with something else than a mapping"),
]


@pytest.mark.parametrize(("line", "said"), TOP)
def test_a_wrong_key_of_the_file(line: str, said: str) -> None:
    found = only(HEAD.format("audio") + "stack: [relu]\n" + line + "\n")
    at = 1 if said.startswith("got") else 5
    assert found.startswith(f"x.yaml:{at}: "), found
    assert said in found


LAYERS = [  # pipeline, a stack item, what is said of it
    ("audio", "rleu", "stack[0]: got 'rleu', expected one of the layers: conv, conv_transpose, deform_conv"),
    ("audio", "rleu", "(did you mean 'relu'?)"),
    ("audio", "3", "stack[0]: got 3, expected a layer by its name, or {name: {option: value}}"),
    ("audio", "{conv: 3}", "stack[0].conv: got 3, expected a mapping with keys of causal, time_axis, in_channels"),
    ("audio", "{conv: {out_channels: 1}}", "stack[0].conv.kernel_size: is required, unless kernel or weight states it"),
    ("audio", "{conv: {out_channels: 1, kernel_size: 0}}", "stack[0].conv.kernel_size: got 0, expected an integer >= 1"),
    ("audio", "{conv: {out_channels: 1, kernel_sise: 3}}", "kernel_sise: got an unknown key, expected one of"),
    ("video", "{conv: {out_channels: 1, kernel_size: [3, 3]}}", "got [3, 3], expected an integer >= 1, or a list of 3 (time, height, width)"),
    ("image", "{conv: {out_channels: 1, kernel_size: 3, stride: [1, 0]}}", "stack[0].conv.stride[1]: got 0, expected an integer >= 1"),
    ("audio", "{conv: {out_channels: 1, kernel_size: 3, padding: smae}}", "padding: got 'smae', expected same, valid or an integer >= 0 (did you mean 'same'?)"),
    ("image", "{conv: {out_channels: 1, kernel_size: 3, padding: [1, -1]}}", "padding[1]: got -1, expected same, valid or an integer >= 0"),
    ("audio", "{conv: {out_channels: 1, kernel_size: 3, padding_mode: reflct}}", "(did you mean 'reflect'?)"),
    ("audio", "{conv: {out_channels: 3, kernel_size: 3, groups: 2}}", "groups: got 2, expected a divisor of out_channels, 3"),
    ("audio", "{conv: {out_channels: 3, kernel_size: 3, bias: [1, 2]}}", "bias: got 2 numbers, expected one per output channel, 3"),
    ("audio", "{conv: {weight: [[[1, 2], [1]]]}}", "weight[0]: got [[1, 2], [1]], expected lists of equal length at each depth"),
    ("audio", "{conv: {weight: [[[1, a]]]}}", "weight[0][0][1]: got 'a', expected a number"),
    ("audio", "{conv: {weight: [[1]]}}", "weight: got [[1]], expected numbers in lists nested 3 deep"),
    ("audio", "{conv: {weight: [[[1]]], kernel_size: 3}}", "kernel_size: got 3, but the numbers of weight say [1]"),
    ("audio", "{conv: {weight: [[[.nan]]]}}", "weight[0][0][0]: got .nan, expected a finite number"),
    ("audio", "{conv: {out_channels: 1, kernel_size: 3, init: kaiming}}", "init: got 'kaiming', expected one of the initializers: uniform, normal"),
    ("audio", "{conv: {out_channels: 1, kernel_size: 3, init: {normal: {sdt: 1}}}}", "init.normal.sdt: got an unknown key, expected one of mean, std (did"),
    ("audio", "{conv: {kernel: gausian}}", "kernel: got 'gausian', expected one of the kernels: identity, box, gaussian"),
    ("audio", "{conv: {kernel: emboss}}", "stack[0].conv.kernel: got emboss, which is a kernel in 2D or 3D; this pipeline's is 1D"),
    ("image", "{conv: {kernel: {sobel: {axis: t}}}}", "stack[0].conv.kernel.sobel.axis: got 't', expected x or y"),
    ("image", "{conv: {kernel: {low_pass: {cutoff_hz: 3}}}}", "which is a kernel in 1D; this pipeline's is 2D"),
    ("audio", "{conv: {kernel: low_pass}}", "stack[0].conv.kernel.low_pass.cutoff_hz: is required"),
    ("audio", "{conv: {kernel: {band_pass: {band: [3, 2]}}}}", "band_pass.band: got [3, 2], expected [low, high] in Hz with 0 < low < high"),
    ("image", "{conv: {kernel: sobel, kernel_size: [5, 0]}}", "kernel_size[1]: got 0, expected an integer >= 1"),
    ("audio", "{conv: {kernel: box, init: zeros}}", "init: is given beside kernel box: give one of them"),
    ("audio", "{deform_conv: {out_channels: 1, kernel_size: 3}}", "got deform_conv, which exists in 2D or 3D; this pipeline's is 1D"),
    ("audio", "{relu: {inplace: true}}", "stack[0].relu.inplace: got an unknown key, expected none: there are no options"),
    ("audio", "{conv: {out_channels: 1, kernel_size: 3, bias: 'no'}}", "one per output channel; write it without quotes"),
    ("audio", "{dropout: {p: 2}}", "stack[0].dropout.p: got 2, expected a number >= 0 and <= 1"),
    ("audio", "max_pool", "stack[0].max_pool.kernel_size: is required"),
    ("audio", "{upsample: {scale_factor: 2, mode: cubic}}", "mode: got 'cubic', expected 'nearest' or 'linear'"),
    ("audio", "{reshape: {pattern: abc}}", "pattern: got 'abc', expected an einops pattern"),
    ("image", "{pixel_unshuffle: {downscale_factor: [2]}}", "downscale_factor: got [2], expected an integer >= 1, or a list of 2 (height, width)"),
    ("audio", "{reshape: {pattern: 'n c t -> n c c'}}", "reshape.pattern: c stands twice on the right"),
    ("image", "{reshape: {pattern: 'n c h w -> n c w h'}}", "pattern: h, all of height, moves into width: axes cannot be swapped or merged"),
    ("image", "{reshape: {pattern: 'n c h w -> n c (h w)'}}", "got 3 entries on the right, expected 4: batch, channels, height, width; h and w cannot be merged"),
    ("video", "{reshape: {pattern: 'n c t h w -> n (c t) 1 h w'}}", "t, all of time, moves into channels: its length is the file's"),
    ("audio", "{reshape: {pattern: 'n (c k) t -> n c (t k)'}}", "reshape: c and k have none: give all but one, as sizes: {k: 2}"),
    ("audio", "{reshape: {pattern: 'n (c k) t -> n c (t k)', sizes: {j: 2}}}", "reshape.sizes: got 'j', expected names of the pattern: n, c, k, t"),
    ("audio", "{reshape: {pattern: 'n (c k) t -> n c (t k)', sizes: {k: 0}}}", "reshape.sizes.k: got 0, expected an integer >= 1"),
    ("audio", "{residual: []}", "got [], expected a list of layers, one at least"),
    ("audio", "{residual: [relu, rleu]}", "stack[0].residual[1]: got 'rleu'"),
    ("audio", "{residual: {layers: [relu], shortcut: [{conv: {out_channels: 0, kernel_size: 1}}]}}", "stack[0].residual.shortcut[0].conv.out_channels: got 0"),
    ("audio", "{branches: [[relu], [{gelu: {approximate: tahn}}]]}", "stack[0].branches[1][0].gelu.approximate: got 'tahn', expected 'none' or 'tanh' (did"),
    ("audio", "{branches: {paths: [[relu]], merge: ad}}", "merge: got 'ad', expected 'add', 'concat' or 'mul' (did you mean 'add'?)"),
    ("audio", "{branches: [relu]}", "stack[0].branches[0]: got 'relu', expected a list of layers"),
    ("audio", "{conv: , out_channels: 3}", "stack[0].out_channels: got the keys conv, out_channels side by side, expected one layer with its options indented below it"),
    ("audio", "{gated: {kernel_size: 3}}", "stack[0].gated.out_channels: is required"),
    ("audio", "{conv_transpose: {out_channels: 1, kernel_size: 2, padding_mode: reflect}}", "expected zeros: a transposed layer has no other"),
    ("video", "{conv: {out_channels: 1, kernel_size: 3, time_axis: 1}}", "time_axis: got 1, expected 0: it is a choice in 2D alone; here time is axis 0, time"),
    ("audio", "{conv: {out_channels: 1, kernel_size: 3, alignment: block}}", "alignment: got block under causal none, expected strict"),
]  # fmt: skip


@pytest.mark.parametrize(("pipeline", "item", "said"), LAYERS)
def test_a_wrong_layer(pipeline: str, item: str, said: str) -> None:
    found = only(HEAD.format(pipeline) + f"stack:\n  - {item}\n")
    assert found.startswith("x.yaml:5: stack[0]"), found
    assert said in found


CAUSAL = [  # pipeline, causal, a stack item, what is refused at line 6
    ("audio", "pad", "padding: 1", "padding: got 1, expected same along time: causal pad pads it as the kernel says"),
    ("video", "true", "padding: [0, 1, 1]", "padding: got [0, 1, 1], expected same along time"),
    ("image", "true", "padding: valid", "padding: got 'valid', expected same along height: causal raster"),
    ("image", "pad", "padding: [same, 0], time_axis: 1", "expected same along width: causal pad"),
    ("video", "mask", "padding_mode: reflect", "padding_mode: got reflect, expected zeros or replicate: under causality it reads the future"),
    ("image", "raster", "padding_mode: circular", "got circular, expected zeros: under causality"),
    ("image", "raster", "padding_mode: replicate", "got replicate, expected zeros: above the first row it copies"),
    ("video", "raster", "padding_mode: replicate", "got replicate, expected zeros"),
    ("audio", "mask", "alignment: block", "alignment: got block under causal mask, expected strict"),
    ("audio", "false", "causal: raster", "causal: got 'raster', expected mask or pad: raster needs a reading order"),
]  # fmt: skip


@pytest.mark.parametrize(("pipeline", "causal", "keys", "said"), CAUSAL)
def test_what_causality_refuses(pipeline: str, causal: str, keys: str, said: str) -> None:
    item = f"conv: {{out_channels: 1, kernel_size: 3, {keys}}}"
    found = only(HEAD.format(pipeline) + f"causal: {causal}\nstack:\n  - {item}\n")
    assert found.startswith("x.yaml:6: stack[0].conv."), found
    assert said in found


@pytest.mark.parametrize(
    ("pipeline", "causal", "keys"),
    [
        ("video", "true", "padding: [same, 0, valid]"),
        ("video", "true", "padding: valid"),
        ("image", "pad", "padding: [0, same], time_axis: 1"),
        ("image", "true", "padding: 1, causal: false"),
        ("audio", "pad", "padding_mode: replicate, alignment: block, stride: 2"),
    ],
)
def test_what_causality_allows(pipeline: str, causal: str, keys: str) -> None:
    item = f"conv: {{out_channels: 1, kernel_size: 3, {keys}}}"
    assert (
        parse_config(HEAD.format(pipeline) + f"causal: {causal}\nstack: [{item}]\n").stack[0].name == "conv"
    )


def test_more_that_causality_refuses() -> None:
    audio = HEAD.format("audio")
    said = only(audio + "causal: raster\nstack: [relu]\n")
    assert said.startswith("x.yaml:4: causal: got 'raster', expected mask or pad")
    said = only(audio + "causal: true\nstack:\n- instance_norm\n")
    assert said.startswith("x.yaml:6: stack[0].instance_norm: got instance_norm in a causal stack")
    said = only(audio + "causal: true\nstack:\n- {max_pool: {kernel_size: 2, padding: 1}}\n")
    assert "x.yaml:6: stack[0].max_pool.padding: got 1, expected same along time" in said
    said = only(
        HEAD.format("image") + "causal: true\nstack:\n- deform_conv: {out_channels: 1, kernel_size: 3}\n"
    )
    assert "got raster, expected pad or false: taps that move cannot be masked" in said


BLOCKS = [  # pipeline, causal, a layer that takes blocks apart, what is refused of it
    ("audio", "mask", "reshape: {pattern: 'n c (t k) -> n (c k) t', sizes: {k: 2}}", "reshape.pattern: takes (t k) along time apart: it reads later positions of a block, which causal mask forbids"),
]  # fmt: skip


@pytest.mark.parametrize(("pipeline", "causal", "item", "said"), BLOCKS)
def test_blocks_are_not_taken_apart_along_a_causal_axis(
    pipeline: str, causal: str, item: str, said: str
) -> None:
    assert said in only(HEAD.format(pipeline) + f"causal: {causal}\nstack:\n  - {item}\n")
    standard = causal.replace("pad", "false").replace("true", "false").replace("mask", "false")
    assert parse_config(HEAD.format(pipeline) + f"causal: {standard}\nstack:\n  - {item}\n").stack


@pytest.mark.parametrize(
    ("pipeline", "item"),
    [
        ("video", "reshape: {pattern: 'n c t (h k) w -> n (c k) t h w', sizes: {k: 2}}"),
        ("audio", "reshape: {pattern: 'n (c k) t -> n c (t k)', sizes: {k: 2}}"),
    ],
)
def test_blocks_along_other_axes_are_free(pipeline: str, item: str) -> None:
    assert parse_config(HEAD.format(pipeline) + f"causal: true\nstack:\n  - {item}\n").stack


def test_minmax_is_refused_under_any_causality() -> None:
    audio = HEAD.format("audio") + "normalize: minmax\n"
    said = only(audio + "causal: pad\nstack: [relu]\n")
    reason = "it needs the whole file first, the future too; use sigmoid, tanh or clip"
    assert said == f"x.yaml:4: normalize.minmax: got minmax with causal set: {reason}"
    nested = "stack: [relu, {residual: [{conv: {out_channels: 1, kernel_size: 3, causal: true}}]}]\n"
    said = only(audio + nested)
    assert said.startswith("x.yaml:4: normalize: got minmax with stack[1].residual.layers[0] being causal")
    assert parse_config(audio + "stack: [relu]\n").normalize.name == "minmax"


@pytest.mark.parametrize(
    "text",
    [
        HEAD.format("audio") + "stack: [{conv: {out_chanels: 1, kernel_size: 3}}]\n",
        HEAD.format("audio") + "stack: [{conv: {out_channels: 1, kernel_sise: 3}}]\n",
        HEAD.format("audio") + "stack: [{conv: {kernel: {low_pass: {cutof_hz: 300}}}}]\n",
        HEAD.format("audio") + "stakc: [relu]\n",
    ],
)
def test_a_misspelt_key_is_not_missed_besides(text: str) -> None:
    """One error for one cause, also where the key is one that must be there."""
    assert "got an unknown key" in only(text)


def test_pipelines_that_are_not_there() -> None:
    said = only(HEAD.format("vidoe") + "stack: [relu]\n")
    assert (
        said
        == "x.yaml:1: pipeline: got 'vidoe', expected an installed pipeline: audio, image, video (did you mean 'video'?)"
    )
    said = only(HEAD.format("broken") + "stack: [relu]\n")
    assert said == "x.yaml:1: pipeline: broken cannot be loaded: ImportError: no module named 'scanner'"


def test_all_problems_of_a_file_come_at_once_in_its_order() -> None:
    text = """\
pipeline: video
outptu: out
causal: maks
seed: -1
read: {size: x, fsp: 3}
stack:
  - conv: {out_channels: 0, kernel_size: [3, 5], dilaton: 2}
  - conv: {out_channels: 8, dilation: [1, 1], stride: 0}
  - residual:
      - gleu
      - conv:
          out_channels: 3
          kernel_size: 3
          groups: 2
  - {relu: {x: 1}}
normalize: none
normalize: {tanh: {gain: big}}
"""
    lines = errors(text)
    keys = [line.split(": ")[0:2] for line in lines]
    assert [(place.removeprefix("x.yaml:"), key) for place, key in keys] == [
        ("1", "input"),
        ("2", "outptu"),
        ("3", "causal"),
        ("4", "seed"),
        ("5", "read.fsp"),
        ("5", "read.size"),
        ("7", "stack[0].conv.out_channels"),
        ("7", "stack[0].conv.kernel_size"),
        ("7", "stack[0].conv.dilaton"),
        ("8", "stack[1].conv.stride"),
        ("8", "stack[1].conv.dilation"),
        ("8", "stack[1].conv.kernel_size"),
        ("10", "stack[2].residual[0]"),
        ("14", "stack[2].residual[1].conv.groups"),
        ("15", "stack[3].relu.x"),
        ("17", "normalize"),
    ]


NOT_YAML = [
    ("", "x.yaml:1: got an empty file, expected keys such as pipeline, input, output, stack"),
    ("# nothing\n", "x.yaml:1: got an empty file"),
    ("- a\n- b\n", "x.yaml:1: got a list, expected keys such as pipeline"),
    ("\njust text\n", "x.yaml:2: got 'just text', expected keys"),
    ("stack:\n\t- relu\n", "x.yaml:2: got a tab, expected spaces"),
    ("a: [1, 2\nb: 3\n", "x.yaml:2: not valid YAML: "),
    ("a: 'x\n", "x.yaml:2: not valid YAML: "),
    ("a: 1\n---\nb: 2\n", "x.yaml:2: got a second document after '---', expected one"),
    ("a: *b\n", "x.yaml:1: not valid YAML: found undefined alias 'b'"),
    ("a: &a [*a]\n", "x.yaml:1: got an alias inside the value that it stands for"),
    ("a: \x00\n", "x.yaml: not text that YAML allows"),
    ("[" * 5000, "x.yaml:1: nested too deeply, expected at most 200 levels"),
    ("stack: " + "[{residual: " * 110 + "[relu]" + "}]" * 110, "nested too deeply"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), NOT_YAML)
def test_a_text_that_holds_no_configuration(text: str, said: str) -> None:
    assert said in only(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: 1\nb: \xff\xfe\x00")
    code = tmp_path / "net.py"
    code.write_text("def build():\n    pass\n")
    for path, said in [
        (tmp_path / "none.yaml", "none.yaml: no such file"),
        (tmp_path, f"{tmp_path}: got a folder, expected a YAML file"),
        (binary, "binary.yaml:2: got bytes that are not UTF-8"),
        (code, f"got Python code, expected a YAML file: mediaconv run CONFIG --model {code}:FUNCTION"),
        (tmp_path / "\0", "cannot be read"),
        (tmp_path / ("x" * 500), "cannot be read"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        assert said in str(caught.value)


OVERRIDES = [
    ("seed", "--set seed: got 'seed', expected key.path=value, such as seed=1"),
    ("=3", "--set =3: got '=3', expected key.path=value"),
    ("a..b=3", "--set a..b=3: got 'a..b=3', expected key.path=value"),
    ("seed=x", "--set seed=x: seed: got 'x', expected an integer >= 0"),
    ("seed=.nan", "--set seed=.nan: seed: got .nan, expected a finite number"),
    ("sede=1", "--set sede=1: sede: got an unknown key"),
    ("conv.kernel_size=5", "--set conv.kernel_size=5: conv: got an unknown key"),
    ("stack.9=relu", "--set stack.9=relu: stack: got '9', expected a number from 0 to 1"),
    ("stack.x=relu", "--set stack.x=relu: stack: got 'x', expected a number from 0 to 1"),
    ("stack.1.gelu.approximate=tanh", "stack.1 is 'relu', which has no keys"),
    ("input.a=3", "--set input.a=3: input is 'in', which has no keys; set it whole: input=VALUE"),
    ("stack.0.conv.kernel_size=0", "stack[0].conv.kernel_size: got 0, expected an integer >= 1"),
    ("stack.0.conv={out_channels: 0, kernel_size: 3}", "stack[0].conv.out_channels: got 0"),
    ("stack.0.cnv.kernel_size=5", "stack[0].cnv: got the keys conv, cnv side by side, expected one layer with its options indented below it (did you mean 'conv'?)"),
    ("stack=[relu", "--set stack=[relu: not valid YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("option", "said"), OVERRIDES)
def test_an_override_is_named_where_it_is_wrong(option: str, said: str) -> None:
    text = HEAD.format("audio") + "stack: [{conv: {out_channels: 1, kernel_size: 3}}, relu]\n"
    found = only(text, overrides=["seed=3", option])
    assert found.startswith(f"--set {option}: ")
    assert said in found


def test_input_and_output_of_the_command_are_named() -> None:
    text = HEAD.format("audio") + "stack: [relu]\n"
    assert only(text, input=" ") == "--input  : input: got ' ', expected a file, a folder or a glob"


def test_what_is_found_later_gets_its_place() -> None:
    text = HEAD.format("audio") + "stack:\n- relu\n- residual:\n  - conv: {out_channels: 1, kernel_size: 1}\n"
    found = parse_config(text, name="x.yaml", overrides=["device=cpu"])
    for config in (found, pickle.loads(pickle.dumps(found)), found.model_copy(update={"seed": 3})):
        assert config.placed("input: in does not exist") == "x.yaml:2: input: in does not exist"
        layer = "stack[1].residual.layers[0].conv: in_channels: got 2"
        assert config.placed(layer) == f"x.yaml:7: {layer}"
        assert (
            config.placed("device: got cpu\nweights: w")
            == "--set device=cpu: device: got cpu\nx.yaml:1: weights: w"
        )
        assert config.placed("in.wav: is empty") == "in.wav: is empty"
    assert found == parse_config("\n\n" + text, overrides=["device=cpu"])
