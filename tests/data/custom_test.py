"""The user's own data: arrays and tf.data, in every form that is allowed, and in wrong ones."""

import numpy as np
import pytest
import tensorflow as tf

from tests.data import making
from tfmeta import data
from tfmeta.data import DataOptions
from tfmeta.data.sources import ArraySource
from tfmeta.data.streams import StreamSource
from tfmeta.errors import DataError

IMAGES = making.numbered(60, (8, 8, 3))
LABELS = making.cyclic(60, 3)
MORE = making.numbered(12, (8, 8, 3), first=500)
MORE_LABELS = making.cyclic(12, 3)


def load(monkeypatch, function, **options):
    making.user_module(monkeypatch, "my_data", load=function)
    return data.load("my_data:load", DataOptions(**options))


def dataset(images=IMAGES, labels=LABELS):
    return tf.data.Dataset.from_tensor_slices((images, labels))


def sizes(splits):
    return splits.train.size, splits.search.size, splits.test.size


def all_numbers(splits):
    return [
        making.numbers_of(np.concatenate([images for images, _ in part.batches(16)]))
        for part in (splits.train, splits.search, splits.test)
    ]


def test_a_tuple_of_arrays(monkeypatch):
    splits = load(monkeypatch, lambda: ((IMAGES, LABELS), (MORE, MORE_LABELS)))
    assert sizes(splits) == (54, 6, 12)
    assert splits.class_names == ("0", "1", "2")
    assert sorted(all_numbers(splits)[2]) == list(range(500, 512))


def test_a_dict_with_names_and_a_search_part_of_its_own(monkeypatch):
    parts = {
        "train": (IMAGES, LABELS[:, None]),
        "search": (MORE, MORE_LABELS),
        "class_names": ["a", "b", "c"],
    }
    splits = load(monkeypatch, lambda: parts)
    assert sizes(splits) == (48, 12, 12)
    assert splits.class_names == ("a", "b", "c")
    assert sorted(all_numbers(splits)[1]) == list(range(500, 512))


def test_splits_are_taken_as_they_are_and_options_can_be_asked_for(monkeypatch):
    splits = load(monkeypatch, lambda options: data.load("digits", options), seed=3)
    assert splits.name == "digits"
    expected = data.load("digits", DataOptions(seed=3)).search.labels
    np.testing.assert_array_equal(splits.search.labels, expected)


@pytest.mark.parametrize("memory_limit_mb", [0, 1])
def test_tf_data_in_memory_or_streamed_gives_the_same_splits(monkeypatch, memory_limit_mb):
    arrays = load(monkeypatch, lambda: {"train": (IMAGES, LABELS)})
    streamed = load(monkeypatch, lambda: {"train": dataset()}, memory_limit_mb=memory_limit_mb)
    kind = ArraySource if memory_limit_mb else StreamSource
    assert isinstance(streamed.train.source, kind)
    assert all_numbers(streamed) == all_numbers(arrays)
    for part in ("train", "search", "test"):
        first, second = getattr(streamed, part), getattr(arrays, part)
        np.testing.assert_array_equal(first.labels, second.labels)
        np.testing.assert_array_equal(first.sample(6, 1)[0], second.sample(6, 1)[0])


def test_grey_images_without_channels_and_of_any_size(monkeypatch):
    def images():
        for number in range(30):
            yield np.full((5 + number % 3, 7), number * 8, np.uint8), number % 2

    signature = (tf.TensorSpec([None, None], tf.uint8), tf.TensorSpec([], tf.int64))
    grey = tf.data.Dataset.from_generator(images, output_signature=signature)
    splits = load(monkeypatch, lambda: {"train": grey}, image_size=6)
    assert splits.image_shape == (6, 6, 1)
    with pytest.raises(DataError, match=r"no fixed size.*Give image_size"):
        load(monkeypatch, lambda: {"train": grey})


def test_floating_point_images_are_handed_on(monkeypatch):
    images = np.random.default_rng(0).normal(size=(60, 4, 4)).astype(np.float64)
    splits = load(monkeypatch, lambda: {"train": (images, LABELS)}, input_range="0..1")
    assert splits.image_shape == (4, 4, 1)
    seen = np.concatenate([x for x, _ in splits.train.batches(60)])
    assert seen.min() < 0.0


def test_a_module_in_the_current_folder_is_found(monkeypatch, tmp_path):
    (tmp_path / "data_of_mine.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    labels = np.arange(30) % 2\n"
        "    return {'train': (np.zeros((30, 4, 4, 1), np.uint8), labels)}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert sizes(data.load("data_of_mine:load")) == (22, 2, 6)


class Reshuffled:
    """Another order each time, which a fixed seed would hide."""

    def __init__(self):
        self.dataset = dataset().shuffle(60, seed=1, reshuffle_each_iteration=True)


@pytest.mark.parametrize(
    ("result", "options", "message"),
    [
        (lambda: 3, {}, r"Expected from my_data:load: a Splits, a dict.*Received: int"),
        (lambda: {"test": 1}, {}, r"Received: dict"),
        (lambda: {"train": (IMAGES, LABELS), "val": 1}, {}, r"keys \['train', 'val'\]"),
        (lambda: {"train": IMAGES}, {}, r"\(images, labels\) or a tf.data.Dataset as 'train'"),
        (lambda: {"train": (IMAGES[0], LABELS[0])}, {}, r"Expected 8 integer train labels"),
        (lambda: {"train": (IMAGES.astype(int), LABELS)}, {}, r"uint8 or floating.*int64"),
        (lambda: {"train": (IMAGES.astype("u2"), LABELS)}, {}, r"images of uint8.*uint16"),
        (lambda: {"train": (IMAGES, np.eye(3)[LABELS])}, {}, r"integer train labels.*argmax"),
        (lambda: {"train": (IMAGES / np.float32(0), LABELS)}, {}, r"not finite numbers"),
        (lambda: {"train": (IMAGES, LABELS - 1.0)}, {}, r"integer train labels.*float64"),
        (lambda: {"train": (IMAGES, LABELS.astype(int) - 1)}, {}, r"labels from 0 to 1\..*-1 to 1"),
        (
            lambda: {"train": (IMAGES, LABELS), "class_names": ["a", "b"]},
            {},
            r"labels from 0 to 1\. Received: 0 to 2",
        ),
        (lambda: {"train": dataset().batch(4)}, {}, r"unbatched.*call unbatch\(\)"),
        (lambda: {"train": dataset().repeat()}, {}, r"does not end\. Remove repeat"),
        (lambda: {"train": dataset().take(0)}, {}, r"train data set is empty"),
        (lambda: {"train": dataset(labels=np.eye(3)[LABELS])}, {}, r"integer scalar.*tf\.argmax"),
        (
            lambda: {"train": Reshuffled().dataset},
            {"memory_limit_mb": 0},
            r"another order each time.*Remove shuffle\(\).*memory_limit_mb",
        ),
        (
            lambda: {"train": (IMAGES[:4], LABELS[:4])},
            {},
            r"at least 3 images.*'0' has 2, '1' has 1",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_what_is_wrong_is_told(monkeypatch, result, options, message):
    with pytest.raises(DataError, match=message):
        load(monkeypatch, result, **options)


def test_a_function_that_is_not_there_is_told(monkeypatch):
    making.user_module(monkeypatch, "my_data", number=3)
    for name in ("absent", "number"):
        with pytest.raises(DataError, match=rf"'my_data' has no function '{name}'"):
            data.load(f"my_data:{name}")
    with pytest.raises(DataError, match="Cannot import the module ''"):
        data.load(":load")


def test_a_reshuffling_stream_that_fits_in_memory_is_read_once(monkeypatch):
    splits = load(monkeypatch, lambda: {"train": Reshuffled().dataset})
    numbers = [number for part in all_numbers(splits) for number in part]
    assert sorted(numbers) == list(range(60))


MAPS = np.random.default_rng(0).integers(0, 3, (60, 8, 8))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_class_for_each_pixel(monkeypatch, streamed):
    part = dataset(labels=MAPS) if streamed else (IMAGES, MAPS)
    splits = load(monkeypatch, lambda: {"train": part})
    assert sizes(splits) == (43, 5, 12)
    assert splits.output_shape == (8, 8, 3) and splits.task.name == "segmentation"
    for split in (splits.train, splits.search, splits.test):
        for images, maps in split.batches(16, shuffle_seed=1):
            assert maps.dtype == tf.int32
            np.testing.assert_array_equal(maps, MAPS[making.numbers_of(images)])
        images, maps = split.sample(4, seed=0)
        np.testing.assert_array_equal(maps, MAPS[making.numbers_of(images)])


@pytest.mark.parametrize(
    ("part", "options", "message"),
    [
        ((IMAGES, MAPS[:, :4]), {}, r"one an image or one a pixel.*Received: int64 of shape \(60, 4, 8\)"),
        ((IMAGES, MAPS), {"image_size": 16}, r"Expected train images of 16x16 pixels.*Received: 8x8"),
        (dataset(labels=MAPS), {"image_size": 16}, r"Expected train images of 16x16 pixels.*Received: 8x8"),
        (dataset(labels=MAPS), {"memory_limit_mb": 0}, r"fits into memory_limit_mb=0\. Received: 60 images"),
        (dataset(labels=MAPS[:, 0]), {}, r"or one integer for each pixel.*Received: int64 of shape \(8,\)"),
        ((IMAGES, MAPS - 1), {}, "Expected labels from 0 to 1. Received: -1 to 1"),
    ],
)
def test_maps_of_classes_that_cannot_be_used(monkeypatch, part, options, message):
    with pytest.raises(DataError, match=message):
        load(monkeypatch, lambda: {"train": part}, **options)


def test_splits_with_other_kinds_of_labels(monkeypatch):
    with pytest.raises(DataError, match=r"all maps of \[8, 8\] pixels, in the test split.*Received: \[\] a label"):
        load(monkeypatch, lambda: {"train": (IMAGES, MAPS), "test": (MORE, MORE_LABELS)})
