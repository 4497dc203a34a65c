"""Handwritten digits, 8x8, that come with scikit-learn: the embedded default.

1797 images of the test part of the UCI set "Optical Recognition of Handwritten Digits"
(https://archive.ics.uci.edu/dataset/80), bundled in the package, so nothing is downloaded. It has
no official division; a fifth of every class becomes the test split, the same for every seed.
"""

from __future__ import annotations

import numpy as np

from tfmeta.data.assemble import assemble
from tfmeta.data.augment import Augmentation
from tfmeta.data.fitting import fit_array
from tfmeta.data.options import DataOptions
from tfmeta.data.sources import ArraySource
from tfmeta.data.splits import Splits
from tfmeta.errors import DataError

_SIZE = 16  # pixels; 8x8 leaves a network no room for strides
_BRIGHTEST = 16  # the stored values count dots in 4x4 cells


def load(options: DataOptions) -> Splits:
    """Returns the digits, resized to 16x16x1 unless told otherwise.

    Raises:
        DataError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            "The digits come with scikit-learn, which is not installed. Run: pip install scikit-learn"
        ) from error
    bundle = load_digits()
    images = np.rint(bundle.images * (255.0 / _BRIGHTEST)).astype(np.uint8)[..., None]
    fit = "resize" if options.fit == "auto" else options.fit
    source = ArraySource(fit_array(images, options.image_size or _SIZE, fit), bundle.target.astype(np.int32))
    return assemble(
        "digits",
        source,
        None,
        options,
        class_names=tuple("0123456789"),
        augmentation=Augmentation(pad_crop=1),  # a mirrored digit is another sign: no flip
    )
