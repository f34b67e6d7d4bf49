"""`mediaconv compare` from configuration to files: numbers against what was written, read by other means."""

from __future__ import annotations

import csv
import json

import av
import cv2
import numpy as np
import pytest
import soundfile
import yaml
from skimage.metrics import structural_similarity

from tests.program import run_program

CONFIGS = "configs"


def strict(path):
    return json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} in {path.name}"))


def frames(path):
    with av.open(str(path)) as film:
        return np.stack([f.to_ndarray(format="gray") for f in film.decode(video=0)])


@pytest.fixture(scope="module")
def film(root, tmp_path_factory):
    """The lightning, small and lossless, compared."""
    out = tmp_path_factory.mktemp("film")
    words = ["compare", root / CONFIGS / "video_causal.yaml", "--input", root / "data/video/lightning.mp4"]
    words += ["--output", out, "--set", "read.size=[64, 36]", "--set", "write={lossless: true}"]
    done = run_program(*words, cwd=root)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_film_numbers_are_those_of_the_files(film):
    out, _ = film
    row = strict(out / "compare.json")["files"][0]
    for i, numbers in enumerate(row["channels"]):
        a, b, d = (frames(out / row["outputs"][name][i]) for name in ("causal", "standard", "difference"))
        assert a.shape == (48, 36, 64)
        difference = np.abs(a.astype(float) - b) / 255
        # the stored values are divided by 255 in float32
        assert numbers["mean_difference"] == pytest.approx(difference.mean(), abs=1e-7)
        assert numbers["max_difference"] == pytest.approx(difference.max(), abs=1e-6)
        assert numbers["psnr_db"] == pytest.approx(-10 * np.log10((difference**2).mean()), abs=1e-5)
        ssim = [structural_similarity(x / 255, y / 255, data_range=1.0) for x, y in zip(a, b, strict=True)]
        assert numbers["ssim"] == pytest.approx(np.mean(ssim), abs=1e-6)
        middle = 127.5 + (a.astype(float) - b) / 2
        assert np.abs(d - middle).max() <= 0.51
        assert numbers["shift_steps"] == 4
        assert numbers["shift_ms"] == pytest.approx(4000 / 24)
        assert numbers["pre_echo_causal"] == 0
        assert numbers["pre_echo_standard"] > 0


def test_film_is_proven_and_measured_both_ways(film):
    out, told = film
    row = strict(out / "compare.json")["files"][0]
    assert row["sides"]["causal"]["causal"] is True
    assert row["sides"]["causal"]["latency_steps"] == 0
    assert row["sides"]["causal"]["receptive_field_back"] == 8
    standard = row["sides"]["standard"]
    assert (standard["causal"], standard["lookahead"], standard["receptive_field"]) == (False, 4, 9)
    assert standard["latency_ms"] == pytest.approx(4000 / 24)
    assert [event["step"] for event in row["events"]] == [20]
    assert "pre-echo standard" in told
    assert "Causal: no output depends on a later input" in told


def test_the_page_holds_all_it_shows(film):
    out, _ = film
    page = (out / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert page.count("data:video/mp4;base64,") == 1 + 3 * 4
    assert (out / "lightning.mp4/causal/view/channel_0.mp4").is_file()


def test_causal_film_is_dark_before_the_lightning_and_standard_is_not(film):
    out, _ = film
    folder = out / "lightning.mp4"
    quiet, early = slice(9, 14), slice(16, 20)
    for side, reacts in (("causal", False), ("standard", True)):
        film_ = frames(folder / side / "channel_0.mp4").astype(float).mean((1, 2))
        assert (np.abs(film_[early] - film_[quiet].mean()).max() > 3) == reacts


def test_sound_numbers_are_those_of_the_files(root, tmp_path, mediaconv):
    words = [root / CONFIGS / "audio_causal.yaml", "-i", root / "data/audio/melody_clap.wav", "-o", "o"]
    mediaconv("compare", *words, "--set", "read.start_seconds=2", "--quiet")
    row = strict(tmp_path / "o/compare.json")["files"][0]
    for i, numbers in enumerate(row["channels"]):
        a, b, d = (
            soundfile.read(tmp_path / "o" / row["outputs"][n][i])[0]
            for n in ("causal", "standard", "difference")
        )
        assert numbers["mean_difference"] == pytest.approx(np.abs(a - b).mean(), rel=1e-5)  # float32 division
        assert numbers["snr_db"] == pytest.approx(
            10 * np.log10((b**2).sum() / ((a - b) ** 2).sum()), abs=1e-4
        )
        assert np.abs(d - (a - b) / 2).max() <= 2**-15
        assert numbers["shift_steps"] == 2180
        assert numbers["pre_echo_causal"] == 0 < numbers["pre_echo_standard"]
    assert any(abs(event["seconds"] - 0.4) < 1e-3 for event in row["events"])


def test_a_configuration_that_fits_no_input_ends_as_a_run_of_it_does(tmp_path, mediaconv, config):
    for name, channels in (("mono", 1), ("stereo", 2)):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros((500, channels)), 8000)
    stack = [{"conv": {"in_channels": 3, "out_channels": 1, "kernel_size": 3}}]
    for inputs in ("mono.wav", "."):
        path = config(pipeline="audio", input=inputs, output="o", stack=stack)
        mediaconv("run", path, code=2)
        done = mediaconv("compare", path, code=2)
        assert f"mono.wav: compute: {path}:5: stack[0].conv: in_channels: got 3" in done.stderr
    stack[0]["conv"]["in_channels"] = 2
    mediaconv("compare", config(pipeline="audio", input=".", output="o", stack=stack), code=1)


def test_a_folder_has_an_index_csv_and_a_summary(tmp_path, mediaconv, config):
    rng = np.random.default_rng(0)
    folder = tmp_path / "in/деep er"
    folder.mkdir(parents=True)
    for i in range(3):
        picture = rng.integers(0, 60, (40, 30), np.uint8)
        picture[20:] += np.uint8(100 + 20 * i)
        cv2.imwrite(str(folder / f"{i}.png"), picture)
    (folder / "bad.png").write_bytes(b"not a picture")
    stack = [{"conv": {"out_channels": 2, "kernel_size": 5}}]
    path = config(pipeline="image", input="in", output="o", causal="pad", stack=stack)
    done = mediaconv("compare", path, "--json", code=1)
    told = json.loads(done.stdout)
    assert [f["input"] for f in told["files"]] == [f"деep er/{i}.png" for i in range(3)]
    assert [f["input"] for f in told["failures"]] == ["деep er/bad.png"]
    out = tmp_path / "o-compare"
    assert strict(out / "compare.json") == told
    rows = list(csv.DictReader((out / "channels.csv").open(encoding="utf-8")))
    assert len(rows) == 6
    means = [float(row["mean_difference"]) for row in rows]
    summary = {row["metric"]: row for row in csv.DictReader((out / "summary.csv").open(encoding="utf-8"))}
    assert float(summary["mean_difference"]["mean"]) == pytest.approx(np.mean(means), rel=1e-12)
    assert float(summary["mean_difference"]["q75"]) == pytest.approx(np.quantile(means, 0.75), rel=1e-12)
    assert told["summary"]["pre_echo_causal"]["max"] == 0
    index = (out / "report.html").read_text(encoding="utf-8")
    for file in told["files"]:
        assert (out / file["report"]).is_file()
        assert file["input"] in index
    assert "bad.png" in index


@pytest.mark.parametrize(
    ("other", "words"),
    [({"stride": 2}, "differ in stride"), ({"padding": ["same", "valid"]}, "differ in shape")],
)
def test_two_configurations_of_unequal_outputs_are_told_apart(tmp_path, mediaconv, config, other, words):
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 255, (30, 30, 3), np.uint8))
    keys = {"pipeline": "image", "input": "a.png", "output": "o"}
    a = config("a.yaml", **keys, stack=[{"conv": {"out_channels": 2, "kernel_size": 3}}])
    b = config("b.yaml", **keys, stack=[{"conv": {"out_channels": 2, "kernel_size": 3, **other}}])
    done = mediaconv("compare", a, b, "-o", "o2")
    row = strict(tmp_path / "o2/compare.json")["files"][0]
    assert words in row["mismatch"]
    assert row["channels"] == []
    assert (tmp_path / "o2/a.png/a/channel_0.png").is_file()
    assert (tmp_path / "o2/a.png/b/channel_1.png").is_file()
    assert words in done.stdout


def test_outputs_that_step_unequally_are_not_laid_side_by_side(tmp_path, mediaconv, config):
    """Sample by sample, 8,000 a second beside 4,000 would be numbers without meaning."""
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 5000), 8000)
    keys = {"pipeline": "audio", "input": "a.wav", "output": "o"}
    a = config("a.yaml", **keys, stack=[{"conv": {"out_channels": 1, "kernel_size": 3}}])
    b = config("b.yaml", **keys, stack=[{"conv": {"out_channels": 1, "kernel_size": 3, "stride": 2}}])
    mediaconv("compare", a, b, "-o", "o")
    row = strict(tmp_path / "o/compare.json")["files"][0]
    assert "a step of one is 1 of the input, of the other 2" in row["mismatch"]
    assert row["channels"] == []
    assert row["output_shapes"] == {"a": [1, 5000], "b": [1, 2500]}
    assert (tmp_path / "o/a.wav/b/channel_0.wav").is_file()
    (curves,) = json.loads(
        (tmp_path / "o/report.html").read_text().split('"curves":')[1].split(',"input_curve"')[0]
    )
    for name in ("a", "b"):  # each has a waveform of its own
        sound, _ = soundfile.read(tmp_path / f"o/a.wav/{name}/channel_0.wav")
        assert max(curves[name]["high"]) == pytest.approx(sound.max(), abs=2**-14)
        assert min(curves[name]["low"]) == pytest.approx(sound.min(), abs=2**-14)


def test_lengths_that_differ_are_told_beside_the_numbers(tmp_path, mediaconv, config):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 5000), 8000)
    keys = {"pipeline": "audio", "input": "a.wav", "output": "o"}
    a = config("a.yaml", **keys, stack=[{"conv": {"out_channels": 1, "kernel_size": 3}}])
    b = config("b.yaml", **keys, stack=[{"conv": {"out_channels": 1, "kernel_size": 3, "padding": "valid"}}])
    done = mediaconv("compare", a, b, "-o", "o")
    row = strict(tmp_path / "o/compare.json")["files"][0]
    assert "5,000 and 4,998 steps" in row["mismatch"]
    assert len(row["channels"]) == 1
    assert "5,000 and 4,998 steps" in " ".join(done.stdout.split())


def test_configurations_that_read_unlike_are_refused(tmp_path, mediaconv, config):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((20, 20, 3), np.uint8))
    keys = {"pipeline": "image", "input": "a.png", "stack": [{"conv": {"out_channels": 1, "kernel_size": 3}}]}
    a, b = config("a.yaml", **keys, output="o"), config("b.yaml", **keys, output="o", read={"size": [8, 9]})
    done = mediaconv("compare", a, b, "-o", "o2", code=2)
    assert "b.yaml has size: [8, 9]; both must read the input alike" in done.stderr


def test_a_normalizer_that_reads_the_whole_file_is_not_causal(tmp_path, mediaconv, config):
    """minmax takes its range from the whole file, so even a kernel of one sample reads to the end."""
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 500), 8000)
    keys = {"pipeline": "audio", "input": "a.wav", "output": "o"}
    stack = [{"conv": {"out_channels": 1, "kernel_size": 1}}]
    a = config("a.yaml", **keys, stack=stack, normalize="minmax")
    b = config("b.yaml", **keys, stack=stack)
    mediaconv("compare", a, b, "-o", "o")
    sides = strict(tmp_path / "o/compare.json")["files"][0]["sides"]
    assert (sides["a"]["causal"], sides["a"]["lookahead"], sides["a"]["latency_ms"]) == (False, None, None)
    assert (sides["b"]["causal"], sides["b"]["lookahead"], sides["b"]["latency_ms"]) == (True, 0, 0)


def test_equal_configurations_differ_by_nothing(tmp_path, mediaconv, config):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 5000), 8000)
    keys = {"pipeline": "audio", "input": "a.wav", "output": "o"}
    a = config("a.yaml", **keys, stack=[{"conv": {"out_channels": 1, "kernel_size": 3}}])
    b = config("b.yaml", **keys, stack=[{"conv": {"out_channels": 1, "kernel_size": 3}}])
    for _ in range(2):  # the second time over the first one's files
        mediaconv("compare", a, b, "-o", "o")
    row = strict(tmp_path / "o/compare.json")["files"][0]["channels"][0]
    assert (row["mean_difference"], row["max_difference"], row["snr_db"], row["shift_steps"]) == (
        0,
        0,
        None,
        0,
    )


@pytest.mark.parametrize(("kernel_size", "already"), [(1, True), (3, False)])
def test_a_stack_that_is_causal_as_it_is_is_said_to_be(tmp_path, mediaconv, config, kernel_size, already):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 500), 8000)
    stack = [{"conv": {"out_channels": 1, "kernel_size": kernel_size}}]
    path = config("a.yaml", pipeline="audio", input="a.wav", output="o", stack=stack)
    sentence = "It is causal as it is: the standard form, too, reads nothing that comes later."
    assert mediaconv("compare", path, "-o", "o").stdout.count(sentence) == already
    told = strict(tmp_path / "o/compare.json")
    assert told["remarks"] == told["files"][0]["notes"] == [sentence] * already
    mediaconv("compare", path, path, "-o", "two")  # two of the user's own are no forms of one
    assert strict(tmp_path / "two/compare.json")["remarks"] == []


def test_prove_is_usable_in_ci(tmp_path, mediaconv, config):
    stack = [{"conv": {"out_channels": 1, "kernel_size": 5}}]
    path = config(pipeline="audio", input="none.wav", output="o", causal=True, stack=stack)
    assert json.loads(mediaconv("prove", path, "--json").stdout)["causal"] is True
    done = mediaconv("prove", path, "--json", "--set", "causal=false", code=1)
    told = json.loads(done.stdout)
    assert (told["causal"], told["lookahead"]) == (False, 2)
    done = mediaconv("prove", path, "--set", "causal=false", code=1)
    assert "looks ahead 2 samples" in done.stdout
    assert "stack[0].conv" in done.stdout
    assert not (tmp_path / "o").exists()
    mediaconv("prove", path, "--set", "causal=perhaps", code=2)


def test_a_stack_alone_is_proven(mediaconv, tmp_path):
    stack = tmp_path / "stack.yaml"
    stack.write_text("pipeline: audio\ncausal: true\nstack: [{conv: {out_channels: 1, kernel_size: 5}}]\n")
    assert json.loads(mediaconv("prove", stack, "--json").stdout)["causal"] is True
    mediaconv("prove", stack, "--no-causal", "--no-files", code=1)


def test_the_shipped_causal_configurations_are_causal(root, mediaconv):
    shipped = sorted((root / CONFIGS).glob("*_causal.yaml"))
    assert {yaml.safe_load(path.read_text())["pipeline"] for path in shipped} == {"audio", "image", "video"}
    for path in shipped:
        told = json.loads(mediaconv("prove", path, "--no-files", "--json", cwd=root).stdout)
        assert (told["causal"], told["lookahead"]) == (True, 0), path.name


def test_along_columns_everything_is_found_along_columns(tmp_path, mediaconv, config):
    picture = np.random.default_rng(0).integers(0, 40, (30, 80), np.uint8)
    picture[:, 50:] += 120
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    stack = [{"conv": {"out_channels": 2, "kernel_size": [3, 7], "dilation": [1, 2]}}]
    path = config(pipeline="image", input="a.png", output="o", causal="pad", time_axis=1, stack=stack)
    mediaconv("compare", path, "-o", "o")
    row = strict(tmp_path / "o/compare.json")["files"][0]
    assert [event["step"] for event in row["events"]] == [50]
    for numbers in row["channels"]:
        assert numbers["shift_steps"] == 6
        assert numbers["pre_echo_causal"] == 0 < numbers["pre_echo_standard"]
    assert row["sides"]["causal"]["receptive_field_back"] == 12
    assert row["sides"]["standard"]["lookahead"] == 6
