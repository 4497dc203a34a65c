"""Options are checked where they are made."""

import pytest

from tfmeta.data import DataOptions
from tfmeta.errors import DataError


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"search_fraction": 1.0}, r"search_fraction between 0 and 1.*Received: 1\.0"),
        ({"test_fraction": 0.0}, r"test_fraction between 0 and 1"),
        ({"search_size": 0}, r"search_size of 1 or more"),
        ({"image_size": -1}, r"image_size of 1 or more"),
        ({"seed": -1}, r"seed of 0 or more"),
        ({"fit": "crop"}, r"Unknown fit 'crop'.*auto, pad, resize"),
        ({"input_range": "0-1"}, r"Unknown input_range '0-1'.*0\.\.255, 0\.\.1, -1\.\.1"),
        ({"data_dir": "/no/such/folder"}, r"data_dir is not a folder.*'/no/such/folder'"),
    ],
)
def test_a_wrong_option_is_told(wrong, message):
    with pytest.raises(DataError, match=message):
        DataOptions(**wrong)


def test_the_home_folder_may_be_written_as_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    assert DataOptions(data_dir="~/data").folder == tmp_path / "data"
