"""A project takes its multiple from a file of ``tflite-bench staircase``, and knows whose it is."""

import json
import types

import pytest
from absl import flags

import tflite_bench
from tfmeta.bin import option_flags
from tfmeta.errors import UserError
from tfmeta.latency import LatencyOptions
from tfmeta.latency.options import Place
from tfmeta.latency.staircase import DeviceStep, read_staircase
from tfmeta.project import ProjectOptions
from tfmeta.stages import search
from tfmeta.store import Store


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


def test_a_search_on_another_device_is_refused(graph, tmp_path, written):
    with tflite_bench.open_device("host") as host:
        own = host.info().fingerprint

    def latency(fingerprint, store):
        options = ProjectOptions(step_device=fingerprint)
        project = types.SimpleNamespace(graph=graph, options=options, workdir=types.SimpleNamespace(path=tmp_path))
        asked = types.SimpleNamespace(place=Place(), latency=LatencyOptions())
        return search._latency(project, asked, store)

    with Store() as store:
        for fingerprint in (None, own):
            latency(fingerprint, store).close()
        with pytest.raises(UserError, match=f"of another device. Expected: adb-1234. Received: {own}"):
            latency("adb-1234", store)
