"""Laws of every data set in the registry, on small copies of their files."""

import numpy as np
import pytest

from tests.data import making
from tfmeta import data
from tfmeta.data import DATASETS, DataOptions
from tfmeta.data.assemble import assemble
from tfmeta.data.sources import ArraySource
from tfmeta.errors import DataError, UserError

# Every data set: how its files are made here, the number of classes, the border that its default
# padding adds. The test split of `digits` is carved, its images are not numbered.
MAKERS = {
    "digits": (lambda folder: None, 10, None),
    "mnist": (lambda folder: making.mnist_folder(folder), 10, 2),
    "fashion_canvas": (lambda folder: making.mnist_folder(folder, train=400, test=120), 11, 0),
    "fashion_mnist": (lambda folder: making.mnist_folder(folder, suffix=""), 10, 2),
    "cifar10": (lambda folder: making.cifar_folder(folder, "cifar10", 20), 10, 0),
    "cifar100": (lambda folder: making.cifar_folder(folder, "cifar100", 200), 100, 0),
    "image_folder": (
        lambda folder: making.class_folders(folder, {"cat": 12, "dog": 20}, size=16),
        2,
        0,
    ),
}


def made(name, folder, **changes):
    MAKERS[name][0](folder)
    if name == "image_folder":
        options = {"image_size": 16, **changes}
        return data.load(f"image_folder:{folder}", DataOptions(**options))
    return data.load(name, DataOptions(data_dir=str(folder), download=False, **changes))


def contents(split):
    """Returns the bytes of every image."""
    return [image.tobytes() for images, _ in split.batches(64) for image in images.numpy().astype(np.uint8)]


def test_every_data_set_has_a_maker():
    assert set(MAKERS) == set(DATASETS)


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_splits_are_disjoint_whole_and_the_same_again(name, tmp_path):
    splits = made(name, tmp_path)
    _, classes, border = MAKERS[name]
    assert splits.num_classes == classes
    parts = (splits.train, splits.search, splits.test)
    images = [contents(part) for part in parts]
    if border is not None:  # digits has equal images; its indices are held to the law below
        everything = [image for part in images for image in part]
        assert len(set(everything)) == len(everything)
    for part in parts:
        assert part.image_shape == splits.image_shape
        assert set(np.unique(part.labels)) == set(range(classes))
        assert part.label_shape == splits.label_shape and splits.output_shape == (*splits.label_shape, classes)
    assert images == [contents(getattr(made(name, tmp_path), p)) for p in ("train", "search", "test")]
    other = made(name, tmp_path, seed=1)
    assert contents(other.test) == images[2]
    assert contents(other.search) != images[1]


@pytest.mark.parametrize("official_test", [True, False])
def test_the_parts_of_a_data_set_share_no_image(official_test):
    images = making.numbered(300, (8, 8, 1))
    source = ArraySource(images[:240], making.cyclic(240, 3).astype(np.int32))
    test = ArraySource(images[240:], making.cyclic(60, 3).astype(np.int32))
    options = DataOptions(search_size=30, train_size=90, test_size=15, seed=2)
    splits = assemble("mine", source, test if official_test else None, options, class_names=tuple("abc"))
    numbers = [
        set(making.numbers_of(np.concatenate([x.numpy() for x, _ in part.batches(64)])))
        for part in (splits.train, splits.search, splits.test)
    ]
    assert [len(part) for part in numbers] == [90, 30, 15]
    assert len(set.union(*numbers)) == 135
    if official_test:
        assert min(numbers[2]) >= 240
    for part in (splits.train, splits.search, splits.test):
        assert len(set(np.bincount(part.labels).tolist())) == 1


def test_digits_are_those_of_scikit_learn(tmp_path):
    splits = data.load("digits")
    # 1797 images; a fifth of the 178, 182, 177, 183, 181, 182, 181, 179, 174, 180 of each class,
    # rounded (36 36 35 37 36 36 36 36 35 36 = 359), then a tenth of what is left.
    assert splits.test.size == 359
    assert splits.train.size + splits.search.size == 1797 - 359
    assert splits.image_shape == (16, 16, 1)
    raw = data.load("digits", DataOptions(image_size=8))
    images = np.concatenate([x.numpy() for part in (raw.train, raw.search, raw.test) for x, _ in part.batches(256)])
    from sklearn.datasets import load_digits

    # 16 levels become 255: the sum over all images must be that of the bundle.
    assert images.max() == 255.0
    np.testing.assert_allclose(images.sum(), load_digits().images.sum() * 255 / 16, rtol=1e-3)


def test_images_and_labels_are_those_of_the_files(tmp_path):
    splits = made("mnist", tmp_path)
    assert splits.image_shape == (32, 32, 1)
    ((images, labels),) = splits.test.batches(64)
    numbers = making.numbers_of(images, border=2)
    assert numbers == list(range(1000, 1020))
    np.testing.assert_array_equal(labels, making.cyclic(20, 10))
    np.testing.assert_array_equal(images[:, 2:30, 2:30, 0], making.numbered(20, (28, 28), 1000))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("imagenet", r"Unknown data set 'imagenet'.*digits.*image_folder:DIR.*module:function"),
        ("image_folder", r"Expected image_folder:DIR\. Received: 'image_folder'"),
        ("digits:8", r"'digits' takes nothing behind a colon"),
        ("no_such_module:load", r"Cannot import the module 'no_such_module'"),
    ],
)
def test_a_wrong_name_is_told(name, message):
    with pytest.raises(UserError, match=message):
        data.load(name)


def test_an_image_size_is_an_option_of_every_data_set(tmp_path):
    assert made("cifar10", tmp_path, image_size=40, fit="pad").image_shape == (40, 40, 3)
    assert data.load("digits", DataOptions(image_size=12)).image_shape == (12, 12, 1)


def test_too_large_a_search_split_is_told(tmp_path):
    with pytest.raises(DataError, match=r"search split of 10 to 50 images.*Received: 55"):
        made("mnist", tmp_path, search_size=55)
