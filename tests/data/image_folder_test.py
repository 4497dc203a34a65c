"""Folders of pictures: the two layouts, decoding, and what is wrong with a folder."""

import numpy as np
import pytest
import tensorflow as tf

from tests.data import making
from tfmeta import data
from tfmeta.data import DataOptions
from tfmeta.data.image_files import FileSource, decode_file
from tfmeta.errors import DataError

SMALL = {"image_size": 8}


def load(folder, **options):
    return data.load(f"image_folder:{folder}", DataOptions(**{**SMALL, **options}))


@pytest.mark.parametrize("test_name", ["test", "val"])
def test_train_and_test_folders_are_the_splits(tmp_path, test_name):
    making.class_folders(tmp_path / "train", {"a": 10, "b": 10})
    making.class_folders(tmp_path / test_name, {"a": 3, "b": 2}, first=100)
    splits = load(tmp_path)
    assert splits.class_names == ("a", "b")
    assert splits.image_shape == (8, 8, 3)
    assert (splits.train.size, splits.search.size) == (18, 2)
    ((images, labels),) = splits.test.batches(8)
    assert making.numbers_of(images) == [100, 101, 102, 103, 104]
    assert labels.numpy().tolist() == [0, 0, 0, 1, 1]


def test_lazy_and_decoded_pictures_are_the_same(tmp_path):
    making.class_folders(tmp_path, {"a": 20, "b": 20}, size=20)
    decoded, lazy = load(tmp_path), load(tmp_path, memory_limit_mb=0)
    assert isinstance(lazy.train.source, FileSource)
    for part in ("train", "search", "test"):
        for (a, b), (c, d) in zip(
            getattr(decoded, part).batches(16, shuffle_seed=1),
            getattr(lazy, part).batches(16, shuffle_seed=1),
            strict=True,
        ):
            np.testing.assert_array_equal(a, c)
            np.testing.assert_array_equal(b, d)
        np.testing.assert_array_equal(getattr(decoded, part).sample(4, 0)[0], getattr(lazy, part).sample(4, 0)[0])


def test_other_files_and_hidden_ones_are_passed_over(tmp_path):
    making.class_folders(tmp_path, {"a": 10, "b": 10, ".git": 1})
    (tmp_path / "a" / "notes.txt").write_text("not a picture")
    (tmp_path / "a" / "._000.png").write_bytes(b"what some systems leave behind")
    assert load(tmp_path).class_names == ("a", "b")


def test_a_grey_png_a_bmp_a_gif_and_a_jpeg_decode_to_three_channels(tmp_path):
    grey = np.full((6, 6, 1), 77, np.uint8)
    making.picture(tmp_path / "grey.png", grey)
    making.picture(tmp_path / "grey.jpg", grey)
    for name in ("grey.png", "grey.jpg"):
        np.testing.assert_array_equal(decode_file(tmp_path / name, 6, "resize"), 77)
    # A BMP of one red pixel: 14 bytes file header, 40 bytes picture header, B G R and padding.
    head = b"BM" + (58).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    info = b"".join(n.to_bytes(4, "little") for n in (40, 1, 1))
    info += (1).to_bytes(2, "little") + (24).to_bytes(2, "little") + bytes(24)
    (tmp_path / "red.bmp").write_bytes(head + info + b"\x00\x00\xff\x00")
    assert decode_file(tmp_path / "red.bmp", 2, "resize").tolist() == [[[255, 0, 0]] * 2] * 2
    # A GIF of one white pixel, the smallest valid one of the GIF89a description.
    gif = "47494638396101000100800000ffffff00000021f90400000000002c00000000010001000002024401003b"
    (tmp_path / "white.gif").write_bytes(bytes.fromhex(gif))
    assert decode_file(tmp_path / "white.gif", 1, "resize").tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize("memory_limit_mb", [0, 1024])
def test_broken_pictures_are_named(tmp_path, memory_limit_mb):
    making.class_folders(tmp_path, {"a": 10, "b": 10}, size=32)
    whole = (tmp_path / "a" / "003.png").read_bytes()
    (tmp_path / "a" / "003.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "a" / "004.png").write_bytes(b"")
    (tmp_path / "b" / "005.jpg").write_bytes(b"no picture at all")
    making.picture(tmp_path / "b" / "006.jpg", making.numbered(1, (64, 64, 3))[0])
    whole = (tmp_path / "b" / "006.jpg").read_bytes()
    (tmp_path / "b" / "006.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"4 picture\(s\) are broken.*Repair or remove") as error:
        load(tmp_path, memory_limit_mb=memory_limit_mb)
    for name in ("a/003.png", "a/004.png", "b/005.jpg", "b/006.jpg"):
        assert str(tmp_path / name) in str(error.value)


def test_many_broken_pictures_are_counted(tmp_path):
    making.class_folders(tmp_path, {"a": 10, "b": 10})
    for path in (tmp_path / "a").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"10 picture\(s\) are broken.*And 5 more"):
        load(tmp_path)


def test_a_picture_that_breaks_later_is_named_in_the_error_of_its_batch(tmp_path):
    making.class_folders(tmp_path, {"a": 10, "b": 10})
    splits = load(tmp_path, memory_limit_mb=0)
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"gone")
    with pytest.raises(tf.errors.OpError, match=r"/[ab]/\d+\.png is not a picture"):
        list(splits.train.batches(4))
    with pytest.raises(DataError, match=r"/[ab]/\d+\.png is not a picture"):
        splits.train.sample(2, seed=0)


def test_wrong_folders_are_told(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        load(tmp_path / "absent")
    with pytest.raises(DataError, match=r"no pictures in .*one a class.*\.jpg, \.jpeg, \.png"):
        load(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="no pictures in"):
        load(tmp_path)
    making.class_folders(tmp_path, {"a": 5, "b": 1, "c": 0})
    with pytest.raises(DataError, match=r"train, search, test; but 'b' has 1, 'c' has 0\. Add"):
        load(tmp_path)


def test_a_class_that_only_the_test_folder_has_is_told(tmp_path):
    making.class_folders(tmp_path / "test", {"a": 2, "z": 2})
    with pytest.raises(DataError, match=r"test stands without .*train"):
        load(tmp_path)
    making.class_folders(tmp_path / "train", {"a": 5, "b": 5})
    with pytest.raises(DataError, match=r"test has classes that the training folder lacks: z"):
        load(tmp_path)
