"""What tests of the package share: a phone behind the real adb client, a cache of their own, small .tflite files."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.phone import AdbServer, Phone


@pytest.fixture(scope="module")
def adb_server() -> Iterator[AdbServer]:
    """An adb server of the module's own, which this process and those that it starts use."""
    with AdbServer() as server, server.used():
        yield server


@pytest.fixture
def phone(adb_server: AdbServer) -> Iterator[Phone]:
    """A phone that adb is connected to."""
    with Phone() as made:
        adb_server.connect(made)
        yield made
        adb_server.adb("disconnect", made.serial)  # else it stays in the list for a minute


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the cache of the person who runs it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    """Returns names to files: good models, models that LiteRT refuses, and files that are none."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("models")
    kernel = tf.constant(np.random.default_rng(0).normal(size=(3, 3, 3, 16)), tf.float32)

    def conv(images: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.nn.conv2d(images, kernel, 1, "SAME"), axis=(1, 2))

    def spec(*shape: int | None, dtype: tf.DType = tf.float32) -> tf.TensorSpec:
        return tf.TensorSpec(shape, dtype, name="x")

    table = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    plain: dict[str, tuple[Callable[[tf.Tensor], tf.Tensor], tf.TensorSpec]] = {
        "small": (conv, spec(1, 8, 8, 3)),
        "large": (conv, spec(1, 64, 64, 3)),
        "free_batch": (conv, spec(None, 8, 8, 3)),
        "free_size": (conv, spec(1, None, None, 3)),
        "indices": (lambda x: tf.gather(table, x), spec(50, dtype=tf.int32)),
        "bytes": (lambda x: tf.cast(x, tf.float32) * 2.0, spec(1, 9, dtype=tf.uint8)),
        "truth": (tf.logical_not, spec(1, 9, dtype=tf.bool)),
        "strings": (lambda x: tf.reshape(x, (2, 1)), spec(1, 2, dtype=tf.string)),
    }
    files = {name: _convert(folder, name, *made) for name, made in plain.items()}
    files["flex"] = _convert(folder, "flex", tf.linalg.det, spec(1, 4, 4), select=True)
    files["custom"] = _convert(folder, "custom", tf.linalg.det, spec(1, 4, 4), custom=True)
    content = files["small"].read_bytes()
    for name, damaged in {
        "empty": b"",
        "garbage": np.random.default_rng(0).bytes(4096),
        "garbage_after_identifier": content[:8] + np.random.default_rng(1).bytes(4096),
        "half": content[: len(content) // 2],
        "nearly_whole": content[:-100],
        "head_only": content[:8],
    }.items():
        files[name] = folder / f"{name}.tflite"
        files[name].write_bytes(damaged)
    return files


def _convert(
    folder: pathlib.Path,
    name: str,
    function: object,
    spec: object,
    select: bool = False,
    custom: bool = False,
) -> pathlib.Path:
    import tensorflow as tf

    holder = tf.Module()
    concrete = tf.function(function, input_signature=[spec]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], holder)
    converter.allow_custom_ops = custom
    if select:
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS,
            tf.lite.OpsSet.SELECT_TF_OPS,
        ]
    path = folder / f"{name}.tflite"
    path.write_bytes(converter.convert())
    return path
