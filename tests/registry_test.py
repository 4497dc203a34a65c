"""Names resolve to things, late and with a helpful error."""

import json
import subprocess
import sys

import pytest

from tfmeta import registry
from tfmeta.errors import UserError

REGISTRY = {"dumps": "json:dumps", "decoder": "json.decoder:JSONDecoder"}


def test_a_name_resolves_to_the_thing_itself():
    assert registry.resolve(REGISTRY, "dumps", "function") is json.dumps
    assert registry.resolve(REGISTRY, "decoder", "function") is json.JSONDecoder


def test_an_unknown_name_is_told_with_the_known_ones():
    with pytest.raises(UserError) as error:
        registry.resolve(REGISTRY, "dump", "function")
    assert str(error.value) == "Unknown function 'dump'. Expected one of: decoder, dumps."


def test_only_the_module_of_the_name_is_imported():
    code = (
        "import sys\nfrom tfmeta import registry\n"
        "REGISTRY = {'a': 'colorsys:rgb_to_hls', 'b': 'this:s'}\n"
        "registry.resolve(REGISTRY, 'a', 'thing')\n"
        "print('colorsys' in sys.modules, 'this' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"
