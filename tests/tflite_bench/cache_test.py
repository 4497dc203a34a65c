from __future__ import annotations

import pathlib
import resource
import signal

import pytest

from tflite_bench import cache
from tflite_bench.errors import DeviceError


def test_the_folder_is_that_of_the_environment(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a"))
    assert cache.cache_folder("b", "c") == tmp_path / "a/tflite_bench/b/c"
    assert (tmp_path / "a/tflite_bench/b/c").is_dir()


@pytest.mark.parametrize("given", ["", "relative/path"])
def test_what_is_no_absolute_path_does_not_count(
    given: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache/tflite_bench"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DeviceError, match="set XDG_CACHE_HOME"):
        cache.cache_folder()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.json"
    cache.write_json(path, {"a": 1})
    with pytest.raises(RuntimeError, match="in the middle"), cache.written_whole(path) as file:
        file.write(b"half")
        raise RuntimeError("in the middle")
    assert cache.read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [None, b"", b"[1]", b"{", b"\xff\xfe"])
def test_what_cannot_be_read_is_nothing(tmp_path: pathlib.Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    assert cache.read_json(tmp_path / "x") is None


def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.json"
    cache.write_json(path, {"a": 1})
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
        with pytest.raises(DeviceError, match=r"Cannot use .*x\.json in the cache: File too large\. Make room"):
            cache.write_json(path, {"a": "x" * 100_000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    assert cache.read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_trouble_of_the_block_stays_what_it_is(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConnectionError), cache.written_whole(tmp_path / "x"):
        raise ConnectionResetError("the network")


def test_a_computer_is_known_by_its_id_and_not_by_its_name(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name, content in (("a", "1\n"), ("b", "2\n"), ("c", ""), ("d", None)):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        monkeypatch.setattr(cache, "_MACHINE_ID", tmp_path / f"{name}.id")
        if content is not None:
            (tmp_path / f"{name}.id").write_text(content)
        found += [cache.computer_id(), cache.computer_id()]
        assert (cache.cache_folder() / "computer").exists() == (content in ("", None))
    assert found[::2] == found[1::2] and len(set(found)) == 4
