"""What is said while chatter is held back, and what becomes of the streams that were in place then."""

import logging
import os
import resource
import sys

import pytest

from tfmeta.export.chatter import quiet


def test_chatter_is_held_back_and_the_rest_passed_on(capsys):
    with quiet():
        print("I0000 of no interest", file=sys.stderr)
        print("Progress")
        print("Of interest", file=sys.stderr)
    assert capsys.readouterr() == ("", "Of interest\n")


def test_only_warnings_are_passed_on_when_the_block_raises(capsys):
    with pytest.raises(ValueError, match="no kernel"), quiet():
        print("Told by the exception too", file=sys.stderr)
        print("W0000 of interest", file=sys.stderr)
        raise ValueError("no kernel")
    assert capsys.readouterr().err == "W0000 of interest\n"


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_handler_that_was_made_inside_logs_to_the_real_stream_afterwards(name, capsys):
    with quiet():  # TensorFlow and absl make theirs when they are imported
        handler = logging.StreamHandler(getattr(sys, name))
    handler.emit(logging.makeLogRecord({"msg": "Said by the user's own program"}))
    handler.stream.close()
    print("Still open", file=getattr(sys, name))
    assert getattr(capsys.readouterr(), name.removeprefix("std")) == "Said by the user's own program\nStill open\n"


def test_standard_error_is_in_its_place_again_when_the_disk_is_full():
    before, limit = os.fstat(2), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"), quiet():
            print("x" * 2000, file=sys.stderr)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert os.path.samestat(before, os.fstat(2))
