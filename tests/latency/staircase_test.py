"""A project takes its multiple from a file of ``tflite-bench staircase``, and knows whose it is."""

import json

import pytest
from absl import flags

from tfmeta.bin import option_flags
from tfmeta.errors import UserError
from tfmeta.latency.staircase import DeviceStep, check_step, read_staircase


@pytest.fixture
def written(tmp_path):
    """Returns a function: step -> path of a file."""

    def write(step, fingerprint="adb-1234"):
        path = tmp_path / "steps.json"
        path.write_text(json.dumps({"step": step, "device": {"kind": "adb", "fingerprint": fingerprint}}))
        return path

    return write


def project_options(*arguments):
    values = flags.FlagValues()
    options = option_flags.project(values)
    values(["train", *arguments])
    return options()


def test_the_step_becomes_the_multiple(written):
    assert read_staircase(written(16)) == DeviceStep(16, "adb-1234")
    options = project_options(f"--staircase={written(16)}")
    assert (options.multiple_of, options.step_device) == (16, "adb-1234")
    assert (project_options("--multiple_of=4").multiple_of, project_options().step_device) == (4, None)
    with pytest.raises(UserError, match="either --multiple_of or --staircase"):
        project_options(f"--staircase={written(16)}", "--multiple_of=8")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "Cannot read .*No such file"),
        ("no JSON", "Expected a file that tflite-bench staircase --output wrote"),
        ("[]", "which is none"),
        ('{"step": 8}', "which is none"),
        ('{"step": null, "device": {"fingerprint": "a"}}', "No step was found on the device"),
        ('{"step": 0.5, "device": {"fingerprint": "a"}}', "Received: 0.5"),
    ],
)
def test_other_files_are_refused(tmp_path, content, text):
    path = tmp_path / "steps.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=text):
        read_staircase(path)


def test_another_device_is_refused():
    for step_device in (None, "host-1"):
        check_step(step_device, "host-1")
    with pytest.raises(UserError, match=r"of another device\. Expected: adb-1234\. Received: host-1"):
        check_step("adb-1234", "host-1")
