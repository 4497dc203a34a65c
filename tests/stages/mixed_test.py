"""What mixed precision refuses to begin with."""

import pytest

from tfmeta.errors import UserError
from tfmeta.stages.mixed import MixedOptions


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kept": "int8"}, "kept in float or int16, received 'int8'"),
        ({"row": "best"}, "Expected a row out of .*, received 'best'"),
        ({"max_kept": -1}, "Expected max_kept of 0 or more, received -1"),
    ],
)
def test_options_out_of_range(options, text):
    with pytest.raises(UserError, match=text):
        MixedOptions(**options)
