"""TensorFlow and Keras are imported by the first attribute that is read, and no earlier."""

import subprocess
import sys

import pytest


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
