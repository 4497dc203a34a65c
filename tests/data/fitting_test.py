"""Fitting images to a size: by hand, and the two paths against each other."""

import numpy as np
import pytest
import tensorflow as tf

from tests.data.making import numbered
from tfmeta.data.fitting import fit_array, fit_tensor


def test_padding_puts_the_image_into_the_middle():
    images = numbered(3, (28, 28, 1))
    padded = fit_array(images, 32, "pad")
    assert padded.dtype == np.uint8
    np.testing.assert_array_equal(padded[:, 2:30, 2:30], images)
    assert padded.sum() == images.sum()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(8, 5, 3), (20, 12, 1), (9, 16, 2)])
def test_numpy_and_tensorflow_pad_alike(shape, dtype):
    images = numbered(2, shape).astype(dtype)
    expected = fit_tensor(tf.constant(images), 16, "pad").numpy()
    np.testing.assert_array_equal(fit_array(images, 16, "pad"), expected)
    assert expected.shape == (2, 16, 16, shape[-1])


def test_padding_shrinks_what_is_too_large_and_keeps_its_aspect_ratio():
    images = np.full((1, 40, 20, 3), 200, np.uint8)
    fitted = fit_array(images, 10, "pad")  # 40x20 -> 10x5, in columns 2 to 6 of 10
    assert np.all(fitted[:, :, 2:7] == 200)
    assert fitted.astype(int).sum() == 200 * 10 * 5 * 3


def test_resizing_doubles_by_bilinear_interpolation():
    # Half-pixel centres: 0, 100 -> at -1/4 (edge), 1/4, 3/4, 5/4 (edge) = 0, 25, 75, 100.
    images = np.array([[0, 100], [0, 100]], np.uint8)[None, :, :, None]
    fitted = fit_array(images, 4, "resize")
    assert fitted.dtype == np.uint8
    np.testing.assert_array_equal(fitted[0, :, :, 0], [[0, 25, 75, 100]] * 4)


def test_halving_averages_four_pixels():
    images = numbered(2, (8, 8, 3))
    means = images.astype(float).reshape(2, 4, 2, 4, 2, 3).mean((2, 4))
    fitted = fit_array(images, 4, "resize")
    np.testing.assert_array_equal(fitted, np.floor(means + 0.5))


def test_an_unknown_size_is_fitted_like_a_known_one():
    image = numbered(1, (9, 14, 3))[0]
    unknown = tf.function(
        lambda x: fit_tensor(x, 12, "pad"),
        input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)],
    )
    np.testing.assert_array_equal(unknown(image), fit_tensor(tf.constant(image), 12, "pad"))


def test_the_right_size_is_left_alone():
    images = numbered(2, (16, 16, 1))
    assert fit_array(images, 16, "resize") is images
    assert fit_array(images, None, "resize") is images
