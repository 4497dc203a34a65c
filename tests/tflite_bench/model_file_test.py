from __future__ import annotations

import hashlib
import pathlib

import pytest

from tflite_bench.errors import ModelFileError
from tflite_bench.model_file import read_model_file


def test_hash_and_size_are_those_of_the_content(tmp_path: pathlib.Path) -> None:
    content = b"\x1c\0\0\0TFL3" + bytes(range(256)) * 5000
    path = tmp_path / "some model.tflite"
    path.write_bytes(content)
    file = read_model_file(str(path))
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert file.size_bytes == len(content)
    assert file.path == path


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"", "an empty file"), (b"short", "lacks the identifier"), (b"x" * 100, "identifier TFL3")],
)
def test_a_file_that_is_no_model_is_an_error(tmp_path: pathlib.Path, content: bytes, text: str) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=text):
        read_model_file(path)


def test_a_missing_file_and_a_folder_are_errors(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ModelFileError, match=r"No such model file: .*none\.tflite"):
        read_model_file(tmp_path / "none.tflite")
    with pytest.raises(ModelFileError, match="Received a folder"):
        read_model_file(tmp_path)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(ModelFileError, match="Cannot read"):
        read_model_file(tmp_path / "file" / "a.tflite")
