"""Files of data sets that are damaged, missing, of another kind or to be fetched."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import tarfile
import threading

import numpy as np
import pytest

from tests.data import making
from tfmeta import data
from tfmeta.data import DataOptions, cifar10, fashion_mnist, idx, mnist, places
from tfmeta.errors import DataError

IMAGES = "train-images-idx3-ubyte"
DEBIAN = fashion_mnist.DEBIAN_FOLDER  # before a fixture hides it


def load(name, folder):
    return data.load(name, DataOptions(data_dir=str(folder), download=False))


@pytest.fixture(autouse=True)
def empty_cache(tmp_path_factory, monkeypatch):
    """The machine's own copies must not answer for the files of a test."""
    home = tmp_path_factory.mktemp("keras")
    monkeypatch.setenv("KERAS_HOME", str(home))
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", home / "debian")
    return home / "datasets"


@contextlib.contextmanager
def serving(folder):
    """Gives the address of a web server that offers ``folder``."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *args: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def test_an_idx_file_is_read_as_its_description_says(tmp_path):
    # http://yann.lecun.com/exdb/mnist/: magic 0x00000801, big-endian count 3, the labels.
    path = tmp_path / "labels"
    path.write_bytes(bytes.fromhex("0000080100000003050009"))
    assert idx.read(path, 1).tolist() == [5, 0, 9]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"\x00\x00\x08\x01\x00\x00\x00\x05",
            r"begin with the bytes 00000803\. Received: 00000801",
        ),
        (b"", r"Received: an empty file"),
        (
            b"\x00\x00\x08\x03" + bytes([0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(700),
            r"784 bytes of data \(shape \(1, 28, 28\)\)\. Received: 700",
        ),
    ],
)
def test_a_wrong_idx_file_is_told(tmp_path, content, message):
    making.mnist_folder(tmp_path, suffix="")
    (tmp_path / IMAGES).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load("mnist", tmp_path)


def test_a_cut_gzip_file_is_told(tmp_path):
    making.mnist_folder(tmp_path)
    path = tmp_path / f"{IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match=rf"{IMAGES}\.gz is a damaged gzip file"):
        load("fashion_mnist", tmp_path)


def test_files_that_do_not_match_are_told(tmp_path):
    making.mnist_folder(tmp_path)
    making.write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.zeros(7))
    with pytest.raises(DataError, match=r"60 images .*, 7 labels"):
        load("mnist", tmp_path)
    making.write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.full(60, 10))
    with pytest.raises(DataError, match=r"labels from 0 to 9 .*Received: 10"):
        load("mnist", tmp_path)
    making.write_idx(tmp_path / f"{IMAGES}.gz", np.zeros((60, 20, 28)))
    with pytest.raises(DataError, match=r"images of 28x28 pixels.*Received: 20x28"):
        load("mnist", tmp_path)


def test_a_missing_file_of_four_is_told(tmp_path):
    making.mnist_folder(tmp_path)
    (tmp_path / f"{IMAGES}.gz").unlink()
    with pytest.raises(DataError, match=rf"3 of the 4 files.*Missing: {IMAGES}\[\.gz\]"):
        load("mnist", tmp_path)


@pytest.mark.parametrize("spelling", ["train-images.idx3-ubyte", "train-images.idx3-ubyte.gz"])
def test_the_other_spelling_and_a_subfolder_are_found(tmp_path, spelling):
    folder = making.mnist_folder(tmp_path / "mnist")
    (folder / f"{IMAGES}.gz").unlink()
    making.write_idx(folder / spelling, making.numbered(60, (28, 28)))
    assert load("mnist", tmp_path).test.size == 20


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("mnist", r"train-images-idx3-ubyte\.gz, .*mnist\.npz"),
        ("fashion_mnist", r"t10k-labels-idx1-ubyte\.gz .*dataset-fashion-mnist"),
        ("cifar10", r"cifar-10-binary\.tar\.gz .*data_batch_1\.bin.*test_batch\.bin.*cifar10\.npz"),
        ("cifar100", r"cifar-100-binary\.tar\.gz .*train\.bin and test\.bin.*cifar100\.npz"),
    ],
)
def test_what_is_nowhere_tells_which_files_go_where(tmp_path, name, files):
    with pytest.raises(DataError, match=rf"downloading is off\. Put .*{files}") as error:
        load(name, tmp_path)
    assert "give that as data_dir" in str(error.value)


def test_a_download_without_network_tells_the_same(monkeypatch, empty_cache):
    with serving(empty_cache.parent) as address:
        monkeypatch.setattr(mnist, "_URL", address + "absent.npz")
        with pytest.raises(DataError, match=r"Could not download .*absent\.npz: .*data_dir"):
            data.load("mnist")
    assert not [path for path in empty_cache.rglob("*")]


def test_fashion_mnist_is_downloaded_once_and_verified(monkeypatch, tmp_path, empty_cache):
    folder = making.mnist_folder(tmp_path)
    sums = tuple(hashlib.sha256(gzip.decompress((folder / name).read_bytes())).hexdigest() for name in idx.FILE_NAMES)
    with serving(folder) as address:
        monkeypatch.setattr(fashion_mnist, "_URL", address)
        with pytest.raises(DataError, match=r"not the published file.*It was removed"):
            data.load("fashion_mnist")
        assert not (empty_cache / "fashion-mnist" / idx.FILE_NAMES[0]).exists()
        monkeypatch.setattr(fashion_mnist, "_CONTENT_SHA256", sums)
        assert data.load("fashion_mnist").test.size == 20
    assert data.load("fashion_mnist", DataOptions(download=False)).test.size == 20


def npz(path, **changes):
    images = making.numbered(60, (28, 28))
    labels = making.cyclic(60, 10)
    arrays = {"x_train": images, "y_train": labels, "x_test": images[:20], "y_test": labels[:20]}
    np.savez(path, **{key: value for key, value in {**arrays, **changes}.items() if value is not None})
    return path


def test_a_download_is_held_to_its_published_hash(monkeypatch, tmp_path, empty_cache):
    path = npz(tmp_path / "mnist.npz")
    with serving(tmp_path) as address:
        monkeypatch.setattr(mnist, "_URL", address + path.name)
        with pytest.raises(DataError, match=r"Could not download .*hash"):
            data.load("mnist")
        assert not (empty_cache / "mnist.npz").exists()
        monkeypatch.setattr(mnist, "_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
        assert data.load("mnist").test.size == 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.array([{"a": 1}], dtype=object)}, r"not a readable \.npz file"),
        ({"y_test": None}, r"Expected the arrays x_train, y_train, x_test, y_test.*y_test"),
        ({"x_train": np.zeros((60, 28, 28))}, r"Expected uint8 images .*Received: float64"),
        ({"y_train": np.zeros(3, np.uint8)}, r"Expected 60 integer labels"),
        ({"y_train": np.full(60, 11)}, r"labels from 0 to 9 .*Received: 11 to 11"),
    ],
)
def test_a_wrong_npz_is_told_and_nothing_is_unpickled(tmp_path, changes, message):
    npz(tmp_path / "mnist.npz", **changes)
    with pytest.raises(DataError, match=message):
        load("mnist", tmp_path)


def test_an_npz_that_is_none_is_told(tmp_path):
    (tmp_path / "cifar10.npz").write_bytes(b"nothing of that kind")
    with pytest.raises(DataError, match=r"cifar10\.npz is not a readable"):
        load("cifar10", tmp_path)


def test_cifar_records_are_read_as_their_description_says(tmp_path):
    # One label byte, then 1024 red, 1024 green, 1024 blue bytes, row by row. Pixel (row 1,
    # column 2) of channel c stands at 1 + 1024 c + 32 + 2.
    making.cifar_folder(tmp_path, "cifar10", 20)
    record = bytearray(20 * 3073)
    for place in range(20):
        record[place * 3073] = place % 10
        for channel, value in enumerate((10, 20, 30)):
            record[place * 3073 + 1 + 1024 * channel + 34] = value
    (tmp_path / "test_batch.bin").write_bytes(bytes(record))
    ((images, labels),) = load("cifar10", tmp_path).test.batches(20)
    expected = np.zeros((20, 32, 32, 3))
    expected[:, 1, 2] = (10, 20, 30)
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(labels, making.cyclic(20, 10))


def test_the_fine_label_of_cifar100_counts(tmp_path):
    making.cifar_folder(tmp_path, "cifar100", 200)
    np.testing.assert_array_equal(load("cifar100", tmp_path).test.labels, making.cyclic(200, 100))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x" * 3072, r"multiple of 3073 bytes \(cifar10\)\. Received: 3072"),
        (b"", r"Received: 0"),
        (b"\x0a" + b"x" * 3072, r"labels from 0 to 9 in data_batch_2\.bin.*Received: 10"),
        (None, r"Missing in .*: data_batch_2\.bin"),
    ],
)
def test_a_wrong_cifar_file_is_told(tmp_path, content, message):
    making.cifar_folder(tmp_path, "cifar10", 20)
    path = tmp_path / "data_batch_2.bin"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load("cifar10", tmp_path)


def test_the_cifar_archive_is_read_in_place(tmp_path):
    folder = making.cifar_folder(tmp_path / "made", "cifar10", 20)
    (tmp_path / "given").mkdir()
    archive = tmp_path / "given" / cifar10.FILES.archive
    with tarfile.open(archive, "w:gz") as tar:
        # A name that would leave the folder: nothing is unpacked, so nothing is written there.
        tar.add(folder / "test_batch.bin", "../../escaped.bin")
        tar.add(folder, cifar10.FILES.folder)
    splits = load("cifar10", tmp_path / "given")
    assert (splits.train.size + splits.search.size, splits.test.size) == (100, 20)
    assert list((tmp_path / "given").iterdir()) == [archive]
    assert not list(tmp_path.rglob("escaped.bin"))

    archive.write_bytes(archive.read_bytes()[:-5000])
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz is damaged"):
        load("cifar10", tmp_path / "given")


def test_the_debian_package_and_the_cache_are_looked_in(monkeypatch, tmp_path):
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", making.mnist_folder(tmp_path))
    assert data.load("fashion_mnist", DataOptions(download=False)).test.size == 20
    npz(places.keras_cache().parent / "mnist.npz")
    places.keras_cache().mkdir()
    npz(places.keras_cache() / "mnist.npz")
    assert data.load("mnist", DataOptions(download=False)).test.size == 20


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="dataset-fashion-mnist is not installed")
def test_the_hashes_are_those_of_the_published_files():
    for name, expected in zip(idx.FILE_NAMES, fashion_mnist._CONTENT_SHA256, strict=True):
        content = gzip.decompress((DEBIAN / name).read_bytes())
        assert hashlib.sha256(content).hexdigest() == expected
