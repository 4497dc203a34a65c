"""A file is either whole or as it was before."""

import json
import os
import signal
import subprocess
import sys

import hypothesis
import hypothesis.strategies as st
import pytest

from tfmeta import files


def names(folder):
    """All names in ``folder``, hidden ones too."""
    return sorted(os.listdir(folder))


@hypothesis.given(data=st.binary(max_size=100))
def test_what_is_written_is_read(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "a.bin"
    files.write_bytes(path, data)
    assert path.read_bytes() == data


def test_text_is_utf8(tmp_path):
    files.write_text(tmp_path / "a.txt", "3 × 3\n")
    assert (tmp_path / "a.txt").read_bytes() == b"3 \xc3\x97 3\n"


def test_json_is_sorted_and_ends_with_a_newline(tmp_path):
    files.write_json(tmp_path / "a.json", {"b": [1, 2.5], "a": None})
    assert (tmp_path / "a.json").read_text() == ('{\n  "a": null,\n  "b": [\n    1,\n    2.5\n  ]\n}\n')


def test_what_json_cannot_hold_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"epoch": 1})
    with pytest.raises(TypeError, match="not JSON serializable"):
        files.write_json(path, {"epoch": object()})
    assert json.loads(path.read_text()) == {"epoch": 1}
    assert names(tmp_path) == ["a.json"]


def test_folders_on_the_way_are_made(tmp_path):
    files.write_text(tmp_path / "a" / "b" / "c.txt", "x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


def test_the_temporary_path_keeps_the_name_and_the_folder(tmp_path):
    # Keras chooses its format by suffix, and a rename is atomic within one file system only.
    with files.replacing(tmp_path / "net.weights.h5") as temporary:
        temporary.write_bytes(b"x")
        assert temporary.name == "net.weights.h5"
        assert temporary.parent.parent == tmp_path
        assert not (tmp_path / "net.weights.h5").exists()
    assert names(tmp_path) == ["net.weights.h5"]


def test_an_error_in_the_block_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), files.replacing(path):
        pass
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_leaves_no_file(tmp_path):
    with (
        pytest.raises(OSError, match="No space left"),
        files.replacing(tmp_path / "a") as temporary,
    ):
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")
        temporary.write_text("never reached")
    assert names(tmp_path) == []


def test_a_folder_takes_the_place_of_another(tmp_path):
    for text in ("old", "new"):
        with files.replacing_folder(tmp_path / "export" / "main") as folder:
            assert folder.name == "main" and names(folder) == []
            files.write_text(folder / "sub" / f"{text}.txt", text)
    assert names(tmp_path / "export") == ["main"]
    assert names(tmp_path / "export" / "main" / "sub") == ["new.txt"]


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_fails_leaves_what_was(there, tmp_path):
    if there:
        files.write_text(tmp_path / "main" / "a.txt", "old")
    with pytest.raises(OSError, match="No space left"), files.replacing_folder(tmp_path / "main") as folder:
        files.write_text(folder / "b.txt", "new")
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")
    assert names(tmp_path) == (["main"] if there else [])
    assert not there or names(tmp_path / "main") == ["a.txt"]


def test_a_folder_that_fails_is_told_by_its_final_name(tmp_path):
    with pytest.raises(OSError, match="No space left") as told, files.replacing_folder(tmp_path / "main") as folder:
        raise OSError(28, "No space left on device", str(folder / "a.txt"))
    assert told.value.filename == str(tmp_path / "main" / "a.txt")


def test_a_folder_that_cannot_take_its_place_leaves_what_was(tmp_path, monkeypatch):
    files.write_text(tmp_path / "main" / "a.txt", "old")
    rename = os.rename

    def fail_for_the_new_one(source, target):
        if str(target) == str(tmp_path / "main") and not str(source).endswith(".old"):
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_for_the_new_one)
    with pytest.raises(OSError, match="No space left"), files.replacing_folder(tmp_path / "main") as folder:
        files.write_text(folder / "b.txt", "new")
    assert names(tmp_path) == ["main"] and names(tmp_path / "main") == ["a.txt"]


def test_a_process_killed_while_writing_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import os, signal\nfrom tfmeta import files\n"
        f"with files.replacing({str(path)!r}) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


# Each rename of `replacing_folder`, and before the first one.
@pytest.mark.parametrize(("renames", "left"), [(0, ["old.txt"]), (1, ["new.txt"]), (2, ["new.txt"])])
def test_a_process_killed_while_folders_change_places_loses_neither(renames, left, tmp_path):
    files.write_text(tmp_path / "main" / "old.txt", "old")
    code = (
        "import os, signal\nfrom tfmeta import files\n"
        f"rename, left = os.rename, [{renames}]\n"
        "def counted(*paths):\n"
        "    if left[0] == 0:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    left[0] -= 1\n"
        "    rename(*paths)\n"
        "    if left[0] == 0 and paths[1].name == 'main':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.rename = counted\n"
        f"with files.replacing_folder({str(tmp_path / 'main')!r}) as folder:\n"
        "    (folder / 'new.txt').write_text('new')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == (1 if renames == 1 else 2)  # in between, what was there has no place
    files.remove_partial(tmp_path)
    assert names(tmp_path) == ["main"] and names(tmp_path / "main") == left
    files.remove_partial(tmp_path)
    assert names(tmp_path / "main") == left


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # The two one-block examples of FIPS 180-4: no message, and "abc".
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ],
)
def test_sha256(data, expected, tmp_path):
    (tmp_path / "a").write_bytes(data)
    assert files.sha256(tmp_path / "a") == expected


def test_files_are_added_to_a_folder_all_or_none(tmp_path):
    with pytest.raises(ValueError, match="too late"), files.adding(tmp_path / "new" / "out") as folder:
        (folder / "a.txt").write_text("new")
        raise ValueError("too late")
    assert not (tmp_path / "new" / "out").exists()
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "b.txt").write_text("old")
    (tmp_path / ".partial-killed").mkdir()
    with files.adding(tmp_path) as folder:
        (folder / "a.txt").write_text("new")
        assert (tmp_path / "a.txt").read_text() == "old"
    found = {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}
    assert found == {"a.txt": "new", "b.txt": "old"}
    assert not list(tmp_path.glob(".partial*"))
