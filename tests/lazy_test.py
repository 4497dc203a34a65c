"""TensorFlow and Keras are imported by the first attribute that is read, and no earlier."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(code):
    """Runs ``code`` in a fresh process, which must succeed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("module", ["tfmeta", "tfmeta.graph", "tfmeta.search", "tfmeta.objectives", "tflite_bench"])
def test_importing_imports_no_tensorflow(module):
    done = run(f"import sys, {module}\nprint({{'tensorflow', 'keras'}} & set(sys.modules))")
    assert done.stdout == "set()\n"


def test_looking_at_a_proxy_imports_nothing():
    done = run(
        "import copy, inspect, sys\nfrom tfmeta.lazy import keras, tf\n"
        "repr(tf), inspect.ismodule(keras), hasattr(tf, '__wrapped__')\n"
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    assert done.stdout == "set()\n"


def test_reading_an_attribute_imports_the_real_thing_quietly():
    done = run(
        "from tfmeta import lazy\nlazy.keras.Model, lazy.tf.Tensor\n"
        "import keras, tensorflow\n"
        "print(lazy.keras.Model is keras.Model, lazy.tf.Tensor is tensorflow.Tensor)"
    )
    assert done.stdout == "True True\n"
    assert done.stderr == ""


def test_an_attribute_that_is_not_there_is_an_attribute_error():
    from tfmeta.lazy import keras

    with pytest.raises(AttributeError, match="no attribute 'Modell'"):
        _ = keras.Modell


def test_the_log_level_that_the_user_chose_is_kept():
    done = run(
        "import os\nos.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'\n"
        "from tfmeta import lazy\nlazy.tf.Tensor\nprint(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    )
    assert done.stdout == "3\n"


def test_only_chatter_is_held_back():
    done = run(
        "import os\nfrom tfmeta import lazy\n"
        "with lazy._without_chatter():\n"
        "    os.write(2, b'I0000 00:00:17.5 6780 port.cc:153] oneDNN operations are on.\\n')\n"
        "    os.write(2, b'W0000 00:00:17.5 6780 gpu.cc:1] The driver is too old.\\n')\n"
        "os.write(2, b'I0000 00:00:18.5 6780 after.cc:1] Later.\\n')"
    )
    assert done.stderr.splitlines() == [
        "W0000 00:00:17.5 6780 gpu.cc:1] The driver is too old.",
        "I0000 00:00:18.5 6780 after.cc:1] Later.",
    ]


def test_the_command_line_starts_quietly():
    command = [sys.executable, "-m", "tfmeta", "describe", "--model=vgg?width=0.125"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ChannelGraph of ")
    assert done.stderr == ""


def test_warnings_during_the_import_get_through(tmp_path):
    # Stands for TensorFlow: what its libraries write at the start goes past Python's sys.stderr.
    (tmp_path / "tensorflow.py").write_text(
        "import os, sys, types\n"
        "os.write(2, b'I0000 00:00:17.5 6780 port.cc:153] oneDNN operations are on.\\n')\n"
        "os.write(2, b'W0000 00:00:17.5 6780 gpu.cc:1] The driver is too old.\\n')\n"
        "print('a warning of Python', file=sys.stderr)\n"
        "config = types.SimpleNamespace(list_physical_devices=list)\n"
        "Tensor = int\n"
    )
    code = "from tfmeta import lazy\nlazy.tf.Tensor\nimport os\nos.write(2, b'I0000 later\\n')"
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert sorted(done.stderr.splitlines()) == [
        "I0000 later",
        "W0000 00:00:17.5 6780 gpu.cc:1] The driver is too old.",
        "a warning of Python",
    ]


def test_an_import_that_fails_tells_everything_it_wrote(tmp_path):
    (tmp_path / "tensorflow.py").write_text("import os\nos.write(2, b'why it fails\\n')\nraise ImportError('broken')\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    code = "from tfmeta import lazy\nlazy.tf.Tensor"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 1
    assert "why it fails" in done.stderr
    assert done.stderr.splitlines()[-1] == "ImportError: broken"
