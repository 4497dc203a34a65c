"""A project takes its multiple from a file of ``tflite-bench staircase``, and knows whose it is."""

import json

import pytest
from absl import flags

from tests.staircases import written
from tfmeta.bin import option_flags
from tfmeta.errors import UserError
from tfmeta.latency.staircase import check_step, read_staircase


def project_options(*arguments):
    values = flags.FlagValues()
    options = option_flags.project(values)
    values(["train", *arguments])
    return options()


def test_the_step_becomes_the_multiple(tmp_path):
    path = written(tmp_path / "steps.json", {"conv float32": 8, "dense int8": 16})
    found = read_staircase(path)
    assert (found.multiple_of, found.where) == (16, "Paper, 1 thread")
    assert [(layer.name, layer.step, len(layer.points)) for layer in found.layers] == [
        ("conv float32", 8, 17),
        ("dense int8", 16, 17),
    ]
    options = project_options(f"--staircase={path}")
    assert (options.multiple_of, options.step_device) == (16, found.device)
    assert (project_options("--multiple_of=4").multiple_of, project_options().step_device) == (4, None)
    with pytest.raises(UserError, match="either --multiple_of or --staircase"):
        project_options(f"--staircase={path}", "--multiple_of=8")


def test_a_file_with_undecided_layers_is_refused(tmp_path):
    steps = {"conv float32": None, "depthwise float32": 1, "dense int8": None}
    path = written(tmp_path / "steps.json", steps)
    # As files were written before they told which layers are undecided.
    path.write_text(json.dumps({**json.loads(path.read_text()), "step": 1, "undecided": []}))
    text = r"no step in .*steps\.json: conv float32, dense int8 could not be told\. Run .* longer \(--min_secs\)"
    with pytest.raises(UserError, match=text):
        read_staircase(path)
    with pytest.raises(UserError, match=text):
        project_options(f"--staircase={path}")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "Cannot read .*No such file"),
        ("no JSON", "Expected a file that tflite-bench staircase --output wrote"),
        ("[]", "which is none"),
        ('{"layers": []}', "which is none"),
        ('{"layers": [{"kind": "conv", "dtype": "int8", "step": 8}]}', "which is none"),
        ('{"layers": [], "options": {"threads": 1}, "device": {"name": "a", "fingerprint": "a"}}', "which is none"),
    ],
)
def test_other_files_are_refused(tmp_path, content, text):
    path = tmp_path / "steps.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=text):
        read_staircase(path)


@pytest.mark.parametrize("step", [0, -8, 0.5, "8"])
def test_a_step_that_is_none_is_refused(step, tmp_path):
    path = written(tmp_path / "steps.json", {"conv int8": 8})
    data = json.loads(path.read_text())
    data["layers"][0]["step"] = step
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match="which is none"):
        read_staircase(path)


def test_another_device_is_refused():
    for step_device in (None, "host-1"):
        check_step(step_device, "host-1")
    with pytest.raises(UserError, match=r"of another device\. Expected: adb-1234\. Received: host-1"):
        check_step("adb-1234", "host-1")
