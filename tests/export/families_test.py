"""Law: what leaves the house was run against its Keras model first, for every family."""

import numpy as np
import pytest

from tests import nets
from tfmeta.export import verify
from tfmeta.export.tflite import export_tflite


@pytest.mark.parametrize("name", sorted(nets.FAMILIES))
def test_the_file_of_a_pruned_family_computes_what_the_model_computes(name, tmp_path):
    small = nets.pruned(name)[0].small
    images = nets.images(small, 4, seed=3)
    result = export_tflite(small, tmp_path / f"{name}.tflite", "fp32", reference_samples=images)
    expected, received = small.predict_on_batch(images), verify.outputs(result.path, images)
    assert np.abs(received - expected).max() <= 1e-3 * np.abs(expected).max()
    assert result.minimum_runtime.version is not None
