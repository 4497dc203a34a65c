from __future__ import annotations

import numpy as np
import pytest

from tflite_bench.host.inputs import random_input

KINDS = ["float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool"]


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_have_shape_and_type_and_plain_values(kind: str) -> None:
    values = random_input((2, 500), kind, np.random.default_rng(0))
    assert values.shape == (2, 500)
    assert values.dtype == np.dtype(kind)
    assert np.all(np.isfinite(values))
    assert len(np.unique(values)) >= 2
    if kind in ("int16", "int32", "int64"):
        assert set(np.unique(values)) == {0, 1}
    if kind == "int8":
        assert values.min() < -100 and values.max() > 100


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_input(kind: str) -> None:
    one, other = (random_input((3, 7), kind, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_a_type_without_numbers_is_an_error() -> None:
    with pytest.raises(TypeError, match="numbers or truth values"):
        random_input((1,), np.complex64, np.random.default_rng(0))
