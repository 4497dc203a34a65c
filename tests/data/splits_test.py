"""Batches of a split: what is in them, their order, and that a resumed run sees the same."""

import numpy as np
import pytest
import tensorflow as tf

from tests.data.making import class_folders, cyclic, numbered, numbers_of
from tfmeta.data import Augmentation, DataOptions, Split, Splits
from tfmeta.data.image_files import FileSource
from tfmeta.data.sources import ArraySource
from tfmeta.data.streams import StreamSource
from tfmeta.errors import DataError

COUNT, SIDE = 50, 8
AUGMENTATION = Augmentation(flip=True, pad_crop=2, cutout=3, brightness=0.2)
IMAGES = numbered(COUNT, (SIDE, SIDE, 3))
LABELS = cyclic(COUNT, 5).astype(np.int32)


def array_source(folder):
    return ArraySource(IMAGES, LABELS)


def file_source(folder):
    class_folders(folder, {"all": COUNT}, size=SIDE)
    return FileSource(sorted((folder / "all").iterdir()), LABELS, SIDE, "resize")


def stream_source(folder):
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    return StreamSource(dataset, LABELS, np.arange(COUNT), COUNT)


SOURCES = {"array": array_source, "files": file_source, "stream": stream_source}


@pytest.fixture(params=sorted(SOURCES))
def split(request, tmp_path):
    return Split(SOURCES[request.param](tmp_path))


def collect(dataset):
    return [(images.numpy(), labels.numpy()) for images, labels in dataset]


def same(first, second):
    return len(first) == len(second) and all(
        np.array_equal(a, c) and np.array_equal(b, d) for (a, b), (c, d) in zip(first, second, strict=True)
    )


def test_in_stored_order_the_batches_are_the_images(split):
    batches = collect(split.batches(16))
    assert [len(labels) for _, labels in batches] == [16, 16, 16, 2]
    images = np.concatenate([images for images, _ in batches])
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, IMAGES)
    labels = np.concatenate([labels for _, labels in batches])
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, LABELS)


def test_every_epoch_is_another_order_of_all_images(split):
    batches = collect(split.batches(16, shuffle_seed=3, epochs=3))
    numbers = np.concatenate([numbers_of(images) for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    np.testing.assert_array_equal(labels, LABELS[numbers])
    epochs = numbers.reshape(3, COUNT)
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs.tolist())
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 3


def test_a_run_that_starts_later_sees_what_an_uninterrupted_one_saw(split):
    options = {"shuffle_seed": 5, "augment": AUGMENTATION}
    whole = collect(split.batches(16, epochs=3, **options))
    later = collect(split.batches(16, first_epoch=1, epochs=2, **options))
    assert same(whole[split.steps(16) :], later)
    assert not same(whole[: split.steps(16)], later[: split.steps(16)])
    assert same(later, collect(split.batches(16, first_epoch=1, epochs=2, **options)))


def test_the_augmentation_differs_between_batches_and_epochs():
    split = Split(ArraySource(np.repeat(IMAGES[:1], 32, axis=0), np.zeros(32, np.int32)))
    batches = collect(split.batches(16, epochs=2, augment=AUGMENTATION))
    assert len({images.tobytes() for images, _ in batches}) == 4


def test_a_remainder_can_be_dropped_and_shapes_are_static(split):
    dataset = split.batches(16, epochs=2, drop_remainder=True)
    assert [len(labels) for _, labels in collect(dataset)] == [16] * 6
    assert dataset.element_spec[0].shape == (16, SIDE, SIDE, 3)
    assert dataset.cardinality() == 6 == 2 * split.steps(16, drop_remainder=True)
    assert split.batches(16).element_spec[0].shape[1:] == (SIDE, SIDE, 3)
    assert split.batches(16, epochs=2).cardinality() == 8


def test_a_data_set_can_be_iterated_again(split):
    dataset = split.batches(16, shuffle_seed=1)
    assert same(collect(dataset), collect(dataset))


@pytest.mark.parametrize(("input_range", "scale", "offset"), [("0..1", 1 / 255, 0.0), ("-1..1", 1 / 127.5, -1.0)])
def test_the_range_is_applied_after_the_augmentation(input_range, scale, offset):
    raw, scaled = (Split(array_source(None), chosen) for chosen in ("0..255", input_range))
    for augment in (None, AUGMENTATION):
        ((images, _), *_), ((expected, _), *_) = (
            collect(split.batches(50, augment=augment)) for split in (scaled, raw)
        )
        np.testing.assert_allclose(images, expected * scale + offset, atol=1e-6)
    np.testing.assert_allclose(scaled.sample(10, 0)[0], raw.sample(10, 0)[0] * scale + offset, atol=1e-6)


def test_floating_point_images_are_used_as_they_are():
    images = np.random.default_rng(0).normal(size=(20, 4, 4, 1)).astype(np.float32)
    split = Split(ArraySource(images, np.zeros(20, np.int32)), "0..1")
    ((seen, _),) = collect(split.batches(20))
    np.testing.assert_array_equal(seen, images)


def test_a_sample_is_balanced_and_true(split):
    images, labels = split.sample(20, seed=4)
    assert np.bincount(labels).tolist() == [4] * 5
    numbers = numbers_of(images)
    assert len(set(numbers)) == 20
    np.testing.assert_array_equal(images, IMAGES[numbers])
    np.testing.assert_array_equal(labels, LABELS[numbers])
    np.testing.assert_array_equal(images, split.sample(20, seed=4)[0])
    assert numbers != numbers_of(split.sample(20, seed=5)[0])
    assert len(split.sample(1000, seed=0)[1]) == COUNT


def test_a_subset_is_those_images(split):
    chosen = np.array([3, 10, 11, 40])
    subset = Split(split.source.subset(chosen))
    ((images, labels),) = collect(subset.batches(16))
    assert numbers_of(images) == chosen.tolist()
    np.testing.assert_array_equal(labels, LABELS[chosen])
    nested = Split(subset.source.subset(np.array([1, 3])))
    assert numbers_of(nested.sample(2, 0)[0]) in ([10, 40], [40, 10])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 0}, r"batch_size of 1 or more\. Received: 0"),
        ({"batch_size": 8, "epochs": 0}, r"epochs of 1 or more"),
        ({"batch_size": 8, "first_epoch": -1}, r"first_epoch of 0 or more"),
        ({"batch_size": 8, "shuffle_seed": -1}, r"shuffle_seed from 0"),
        ({"batch_size": 64, "drop_remainder": True}, r"50 images, fewer than one batch of 64"),
    ],
)
def test_wrong_requests_are_told(wrong, message):
    with pytest.raises(DataError, match=message):
        Split(array_source(None)).batches(**wrong)
    with pytest.raises(DataError, match="sample of 1 image or more"):
        Split(array_source(None)).sample(0, seed=0)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (ArraySource(IMAGES[:0], LABELS[:0]), "test split of 'mine' is empty"),
        (ArraySource(IMAGES[:, :4], LABELS), r"shape \(8, 8, 3\) in the test split"),
        (ArraySource(IMAGES, LABELS + 1), r"labels from 0 to 4 in the test split.*1 to 5"),
    ],
)
def test_splits_that_do_not_fit_together_are_told(test, message):
    whole = Split(array_source(None))
    with pytest.raises(DataError, match=message):
        Splits("mine", whole, whole, Split(test), tuple("abcde"), (SIDE, SIDE, 3))


def test_training_with_keras_on_the_batches_learns():
    # The class is the brightness of the image: one dense layer finds it at once.
    import keras

    rng = np.random.default_rng(0)
    labels = cyclic(200, 2).astype(np.int32)
    images = (rng.integers(0, 100, (200, 4, 4, 1)) + 150 * labels[:, None, None, None]).astype(np.uint8)
    split = Split(ArraySource(images, labels), DataOptions(input_range="-1..1").input_range)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss, metrics=["accuracy"])
    model.fit(split.batches(50, shuffle_seed=0, epochs=5), epochs=5, steps_per_epoch=4, verbose=0)
    assert model.evaluate(split.batches(50), verbose=0)[1] > 0.95


def test_the_fingerprint_is_of_labels_images_and_range(split, tmp_path):
    assert split.fingerprint == Split(split.source).fingerprint
    labels = LABELS.copy()
    labels[-1] = 0 if labels[-1] else 1
    images = IMAGES.copy()
    images[0, 0, 0, 0] ^= 1
    others = [
        Split(ArraySource(IMAGES, labels)),
        Split(ArraySource(images, LABELS)),
        Split(ArraySource(IMAGES[:-1], LABELS[:-1])),
        Split(split.source, "0..1"),
    ]
    assert len({split.fingerprint, *(other.fingerprint for other in others)}) == 5
