"""The command line's outer shell: verbs, flags, exit codes, and answers without TensorFlow."""

import errno
import importlib
import os
import shlex
import subprocess
import sys
import types

import pytest
from absl import flags

import tflite_bench.errors
import tflite_bench.signals
from tfmeta import __main__ as program
from tfmeta.bin import VERBS, app, shared_flags
from tfmeta.errors import BudgetError

HEAVY = ("tensorflow", "keras", "matplotlib", "sklearn", "ai_edge_litert")


def make_verb(work=lambda verb: None):
    """A verb module with three flags whose main calls ``work(verb)``."""
    verb = types.ModuleType("tiny_verb")
    verb.FLAGS = flags.FlagValues()
    verb.WORKDIR = shared_flags.workdir(verb.FLAGS)
    verb.EPOCHS = flags.DEFINE_integer(
        "epochs", 3, "How often to see all images.", lower_bound=1, flag_values=verb.FLAGS
    )
    verb.SCHEME = flags.DEFINE_enum("scheme", "fp32", ["fp32", "int8"], "Numbers in the file.", flag_values=verb.FLAGS)
    verb.main = lambda argv: work(verb)
    return verb


def fail_with(error):
    """A verb module whose main raises ``error``."""

    def work(verb):
        raise error

    return make_verb(work)


def run_shell(*arguments, probe=""):
    """Runs ``tfmeta ARGUMENTS`` in a fresh process; ``probe`` is executed after it."""
    code = (
        f"import sys\nfrom tfmeta.__main__ import main\nstatus = main({list(arguments)!r})\n{probe}\nsys.exit(status)"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_flags_reach_main():
    seen = []
    verb = make_verb(lambda verb: seen.append((verb.WORKDIR.value, verb.EPOCHS.value)))
    assert app.run(verb, "tfmeta tiny", ["--workdir=a", "--epochs=7"]) == app.DONE
    assert seen == [("a", 7)]


def test_a_second_run_in_one_process_starts_from_the_defaults():
    seen = []
    verb = make_verb(lambda verb: seen.append(verb.EPOCHS.value))
    app.run(verb, "tfmeta tiny", ["--workdir=a", "--epochs=7"])
    app.run(verb, "tfmeta tiny", ["--workdir=a"])
    assert seen == [7, 3]


def test_two_verbs_may_have_the_same_flag():
    seen = []
    for _ in range(2):
        verb = make_verb(lambda verb: seen.append(verb.EPOCHS.value))
        assert app.run(verb, "tfmeta tiny", ["--workdir=a"]) == app.DONE
    assert seen == [3, 3]


def test_a_flag_file_is_read(tmp_path):
    seen = []
    verb = make_verb(lambda verb: seen.append((verb.WORKDIR.value, verb.SCHEME.value)))
    (tmp_path / "flags.txt").write_text("--workdir=b\n# a comment\n--scheme=int8\n")
    app.run(verb, "tfmeta tiny", [f"--flagfile={tmp_path}/flags.txt"])
    assert seen == [("b", "int8")]


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("export", ["--scheme=fp32", "--scheme=int8_qat", "--name=a b", "--pareto", "--sparsity=0.7"]),
        ("export", ["--scheme=int8", "--device=adb:S1", "--nopareto"]),
        ("run", ["--scheme=fp32", "--scheme=int8", "--model=vgg?width=0.5&blocks=2", "--notrain_augment"]),
        ("run", ["--retrain_augmentation=flip=1,cutout=8", "--rows=searched,full", "--max_macs=0.5x"]),
        ("run", ["--allow_custom_objects=a.b", "--allow_custom_objects=c.d", "--train_augmentation="]),
    ],
)
def test_the_recorded_command_gives_the_same_flags_again(verb, arguments):
    values = importlib.import_module(f"tfmeta.bin.{verb}").FLAGS
    given = ["--workdir=it's here", *arguments]

    def parsed(arguments):
        values.unparse_flags()
        values(["tfmeta", *arguments])
        return {name: values[name].value for name in values}

    wanted = parsed(given)
    program_name, verb_name, *again = shlex.split(app.command_line(values, verb))
    assert (program_name, verb_name) == ("tfmeta", verb)
    assert sorted(again) == sorted(given)
    assert parsed(again) == wanted


def test_the_exit_code_of_main_is_kept():
    assert app.run(make_verb(lambda verb: 3), "tfmeta tiny", ["--workdir=a"]) == 3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--workdir=a", "--epocs=1"], "Unknown command line flag 'epocs'. Did you mean: epochs ?"),
        (["--workdir=a", "--epochs=x"], "flag --epochs=x: invalid literal"),
        (["--workdir=a", "--epochs=0"], "flag --epochs=0: 0 is not a positive integer"),
        (["--workdir=a", "--scheme=int4"], "value should be one of <fp32|int8>"),
        (["--workdir=a", "stray"], "Expected flags only, like --name=value. Received: 'stray'."),
        (["--epochs=1"], "Expected the folder of the project, for example --workdir=runs/first"),
        (["--flagfile=/no/such/file"], "/no/such/file"),
    ],
)
def test_bad_flags_are_told_in_two_lines(arguments, text, capsys):
    verb = make_verb(lambda verb: pytest.fail("main must not run"))
    assert app.run(verb, "tfmeta tiny", arguments) == app.BAD_FLAGS
    told = capsys.readouterr().err
    assert text in told
    assert told.endswith("All flags: tfmeta tiny --help\n")
    assert told.count("\n") == 2


def test_help_shows_the_flags_of_the_verb_and_no_others(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert app.run(make_verb(), "tfmeta tiny", ["--help"], "Does little.") == app.DONE
    assert (
        capsys.readouterr().out
        == """\
tfmeta tiny: Does little.

Flags:
  --workdir
      Folder of one project; every stage reads, writes and resumes there. Must be given.
  --epochs
      How often to see all images. (a positive integer; default: 3)
  --scheme
      <fp32|int8>: Numbers in the file. (default: fp32)
  --[no]debug
      Show where in the program an error arose. (default: false)
  --flagfile
      File to read flags from, one a line.
"""
    )


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (BudgetError("Budget too low."), app.USER_ERROR, "Budget too low."),
        (tflite_bench.errors.DeviceError("No phone."), app.DEVICE_ERROR, "No phone."),
        (tflite_bench.errors.DeviceLostError("It went away."), app.DEVICE_ERROR, "It went away."),
        (tflite_bench.errors.OutputError("Garbage."), app.DEVICE_ERROR, "Garbage."),
        (tflite_bench.errors.OptionsError("No such core."), app.BAD_FLAGS, "No such core."),
        (tflite_bench.errors.ModelFileError("No model."), app.USER_ERROR, "No model."),
        (tflite_bench.signals.Terminated(15), 143, "Stopped. Run the same command again to go on."),
        (KeyboardInterrupt(), app.STOPPED, "Stopped. Run the same command again to go on."),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/a/store.sqlite"),
            app.USER_ERROR,
            "runs/a/store.sqlite: No space left on device.\nFree some space and run the same command again.",
        ),
        (
            # What HDF5 raises: the reason is in the text alone.
            OSError("Can't write data (errno = 28, error message = 'No space left on device')"),
            app.USER_ERROR,
            "Can't write data (errno = 28, error message = 'No space left on device')\n"
            "Free some space and run the same command again.",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "a"), 1, "a: Permission denied."),
    ],
)
def test_an_error_that_is_no_bug_is_told_without_a_traceback(error, status, text, capsys):
    assert app.run(fail_with(error), "tfmeta tiny", ["--workdir=a"]) == status
    assert capsys.readouterr().err == f"tfmeta tiny: {text}\n"


def test_debug_shows_the_traceback(capsys):
    verb = fail_with(BudgetError("Budget too low."))
    assert app.run(verb, "tfmeta tiny", ["--workdir=a", "--debug"]) == app.USER_ERROR
    told = capsys.readouterr().err
    assert told.startswith("Traceback")
    assert told.endswith("tfmeta tiny: Budget too low.\n")


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        app.run(fail_with(ZeroDivisionError()), "tfmeta tiny", ["--workdir=a"])


PRINTING_VERB = """
import sys, types
from absl import flags
from tfmeta.bin import app
verb = types.SimpleNamespace(FLAGS=flags.FlagValues())
verb.main = lambda argv: print("x" * 1_000_000)
sys.exit(app.run(verb, "tfmeta tiny", []))
"""


def test_a_full_disk_behind_standard_output_is_told():
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", PRINTING_VERB], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == app.USER_ERROR
    assert done.stderr.startswith(b"tfmeta tiny: [Errno 28] No space left on device\nFree some")


def test_a_closed_pipe_ends_quietly():
    with subprocess.Popen(
        [sys.executable, "-c", PRINTING_VERB], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.read(1)
        process.stdout.close()
        told = process.stderr.read()
    assert (process.returncode, told) == (app.PIPE_CLOSED, b"")


def test_a_closed_pipe_ends_the_list_of_verbs_quietly():
    # The reader is gone before the first line is written.
    code = "import os, sys\nos.read(0, 1)\nfrom tfmeta.__main__ import main\nsys.exit(main([]))"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        process.stdin.close()
        told = process.stderr.read()
    assert (process.returncode, told) == (app.PIPE_CLOSED, b"")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_without_a_verb_all_verbs_are_listed(arguments, capsys):
    assert program.main(arguments) == app.DONE
    lines = capsys.readouterr().out.splitlines()
    for verb, description in VERBS.items():
        assert any(line.split() == [verb, *description.split()] for line in lines)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["serach"], "tfmeta: Unknown verb 'serach'. Did you mean 'search'?"),
        (["xyzzy"], "tfmeta: Unknown verb 'xyzzy'."),
        (["app"], "tfmeta: Unknown verb 'app'."),
        (
            ["--workdir=a", "train"],
            "tfmeta: Expected a verb before the flags, received '--workdir=a'.",
        ),
    ],
)
def test_an_unknown_verb_is_told_with_the_nearest_one(arguments, text, capsys):
    assert program.main(arguments) == app.BAD_FLAGS
    assert capsys.readouterr().err == f"{text}\nAll verbs: tfmeta --help\n"


@pytest.mark.parametrize("arguments", [[], ["serach"], *([verb, "--help"] for verb in VERBS)])
def test_help_imports_nothing_heavy(arguments):
    done = run_shell(*arguments, probe=f"print([n for n in {HEAVY} if n in sys.modules])")
    assert done.returncode == (app.BAD_FLAGS if arguments == ["serach"] else app.DONE), done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    if arguments[1:] == ["--help"]:
        assert done.stdout.startswith(f"tfmeta {arguments[0]}: {VERBS[arguments[0]]}\n")


@pytest.mark.parametrize("verb", VERBS)
def test_bad_flags_import_nothing_heavy(verb):
    done = run_shell(verb, "--no_such_flag=1", probe=f"print([n for n in {HEAVY} if n in sys.modules])")
    assert done.returncode == app.BAD_FLAGS
    assert "Unknown command line flag 'no_such_flag'" in done.stderr
    assert done.stdout == "[]\n"
