import pytest

from tfmeta.latency.model_files import ModelFiles


def test_a_file_is_made_once(tmp_path):
    made = []
    kept = ModelFiles(tmp_path)
    paths = [kept.get("a", lambda: made.append(1) or b"content") for _ in range(2)]
    assert paths == [tmp_path / "a.tflite"] * 2
    assert paths[0].read_bytes() == b"content"
    assert len(made) == 1


def test_the_folder_stays_small_and_what_is_in_use_stays(tmp_path):
    kept = ModelFiles(tmp_path, max_bytes=30)
    for key in "abcde":
        kept.get("reference", lambda: bytes(10))
        kept.get(key, lambda: bytes(10))
    assert {path.stem for path in tmp_path.iterdir()} == {"reference", "d", "e"}


def test_two_files_larger_than_the_room_stay_side_by_side(tmp_path):
    kept = ModelFiles(tmp_path, max_bytes=5)
    for key in "abc":
        paths = [kept.get("reference", lambda: bytes(10)), kept.get(key, lambda: bytes(10))]
        assert all(path.is_file() for path in paths)


def test_files_that_are_held_stay_until_they_are_released(tmp_path):
    kept = ModelFiles(tmp_path, max_bytes=20)
    for key in "abc":
        kept.hold(kept.get(key, lambda: bytes(10)))
    assert kept.full
    kept.get("d", lambda: bytes(10))
    assert {path.stem for path in tmp_path.iterdir()} == {"a", "b", "c", "d"}
    for key in "ab":
        kept.release(tmp_path / f"{key}.tflite")
    assert not kept.full
    kept.get("e", lambda: bytes(10))
    assert {path.stem for path in tmp_path.iterdir()} == {"c", "d", "e"}


def test_a_temporary_folder_goes_with_its_owner_and_a_given_one_stays(tmp_path):
    temporary = ModelFiles(None)
    path = temporary.get("a", lambda: b"content")
    temporary.close()
    assert not path.parent.exists()
    given = ModelFiles(tmp_path / "latency")
    path = given.get("a", lambda: b"content")
    given.close()
    assert path.is_file()


def test_nothing_is_left_of_a_file_that_could_not_be_made(tmp_path):
    def fail() -> bytes:
        raise RuntimeError("no")

    kept = ModelFiles(tmp_path)
    with pytest.raises(RuntimeError):
        kept.get("a", fail)
    assert list(tmp_path.iterdir()) == []
