"""`tfmeta check` on the command line: what it prints, and the exit code for build servers."""

import json

import pytest

import tflite_bench
from tests import nets
from tfmeta import __main__ as program
from tfmeta.stages import check as stage


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    (path,) = nets.written(tmp_path_factory.mktemp("files"), "fp32")
    return path


def test_a_file_that_fits(path, capsys):
    assert program.main(["check", str(path), "--min_runtime=2.16", "--max_size_mb=4", "--device=host"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "fp32.tflite: fit to ship"
    assert any(line.startswith("OK    delegate   XNNPACK runs") for line in lines)


def test_one_that_does_not(path, tmp_path, capsys):
    (tmp_path / "cut.tflite").write_bytes(path.read_bytes()[:300])
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    files = [str(path), str(tmp_path / "cut.tflite")]
    labels = f"--labels={tmp_path / 'labels.txt'}"
    assert program.main(["check", *files, "--json", "--device=none", labels]) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert not first["fits"] and not second["fits"]
    assert [finding["level"] for finding in first["findings"] if finding["check"] == "labels"] == ["fail"]
    assert [finding["check"] for finding in second["findings"]] == ["file"]
    assert second["file"].endswith("cut.tflite")


def test_one_that_is_not_there_leaves_the_others_their_answer(path, capsys):
    assert program.main(["check", "none.tflite", str(path), "--json"]) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert second["fits"] and not first["fits"] and first["file"] == "none.tflite"
    assert [finding["text"] for finding in first["findings"]] == [
        "Cannot read the .tflite file 'none.tflite': No such file or directory."
    ]


def test_a_reference_and_a_device_that_is_not_there(path, capsys):
    assert program.main(["check", str(path), f"--reference={path}"]) == 0
    assert "OK    agreement  same class as the float file on 100.0%" in capsys.readouterr().out
    assert program.main(["check", str(path), "--device=nowhere"]) == 2


def test_one_that_ends_the_process_that_runs_it_leaves_the_others_their_answer(path, tmp_path, capsys, ended_by):
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(path.read_bytes())
    ended_by("bad.tflite")
    assert program.main(["check", str(path), str(bad), str(path), "--json", f"--reference={path}"]) == 1
    first, second, third = json.loads(capsys.readouterr().out)
    assert first["fits"] and third["fits"] and not second["fits"]
    failed = {finding["check"]: finding["text"] for finding in second["findings"] if finding["level"] == "fail"}
    assert failed.keys() == {"host", "agreement"}
    assert f"Received: {str(bad)!r} ended the process (SIGKILL): it is damaged" in failed["host"]


@pytest.mark.parametrize(("second", "code"), [("PATH", 3), ("none.tflite", 1)])
def test_a_device_that_cannot_be_used_hides_nothing(path, capsys, monkeypatch, second, code):
    def away(*arguments):
        raise tflite_bench.DeviceLostError("The phone went away.")

    monkeypatch.setattr(stage, "measure_files", away)
    paths = [str(path), second.replace("PATH", str(path))]
    assert program.main(["check", *paths, "--json", "--device=adb"]) == code
    first, other = json.loads(capsys.readouterr().out)
    assert not first["fits"] and not other["fits"]
    told = {finding["check"]: finding for finding in first["findings"]}
    assert told["device"]["text"] == "The phone went away." and told["size"]["level"] == "info"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], 2, "Expected MODEL.tflite ..."),
        (["PATH", "--min_runtime=latest"], 1, "Expected a runtime version such as 2.16"),
        (["PATH", "--samples=none.npy", "--reference=PATH"], 1, "Cannot read the samples"),
        (["PATH", "--min_class_agreement=90", "--reference=PATH"], 1, "between 0 and 1"),
        (["PATH", "--samples=none.npy"], 1, "as the reference"),
        (["PATH", "--min_class_agreement=0.9"], 1, "as the reference"),
        (["PATH", "--require_full_delegation", "--device=none"], 1, "where nothing runs"),
    ],
)
def test_mistakes(arguments, code, text, path, capsys):
    arguments = [argument.replace("PATH", str(path)) for argument in arguments]
    assert program.main(["check", *arguments]) == code
    assert text in capsys.readouterr().err


def test_help_names_what_it_takes(capsys):
    assert program.main(["check", "--help"]) == 0
    assert "\nUsage: tfmeta check MODEL.tflite ... --flag=value ...\n" in capsys.readouterr().out
