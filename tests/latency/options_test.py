import math

import pytest

from tfmeta.errors import UserError
from tfmeta.latency import FINAL, LatencyOptions


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"scheme": "int3"}, "Unknown quantization scheme 'int3'. Expected one of: fp32"),
        ({"threads": 0}, "Expected threads to be a whole number, at least 1. Received: 0."),
        ({"threads": 10**6}, "Expected threads to be a whole number, from 1 to"),
        ({"rounds": 0}, "Expected rounds to be a whole number, at least 1. Received: 0."),
        ({"num_runs": 9}, "Expected num_runs to be a whole number, at least 10. Received: 9."),
        ({"num_runs": 20.0}, "Expected num_runs to be a whole number, at least 10. Received: 20.0."),
        ({"retries": -1}, "Expected retries to be a whole number, at least 0. Received: -1."),
        ({"min_secs": -0.1}, "Expected min_secs in seconds, 0 or more. Received: -0.1."),
        ({"min_secs": 1e6}, "Expected max_secs above 0"),
        ({"pin": "huge"}, "Expected pin among none, all, big, little.*Received: pin='huge'"),
        ({"delegate": "tpu"}, "Received: delegate='tpu'"),
        ({"warmup_secs": math.nan}, "Expected warmup_secs in seconds, 0 or more. Received: nan."),
    ],
)
def test_bad_values(changes, text):
    with pytest.raises(UserError, match=text):
        LatencyOptions(**changes)


def test_every_option_reaches_the_benchmark():
    options = LatencyOptions(threads=3, num_runs=70, min_secs=0.2, warmup_secs=0.4, pin="big", delegate="gpu")
    bench = options.bench()
    assert (bench.threads, bench.num_runs, bench.min_secs, bench.warmup_min_secs) == (3, 70, 0.2, 0.4)
    assert (bench.pin, bench.delegate) == ("big", "gpu")


def test_final_figures_take_longer_than_those_of_a_search():
    search = LatencyOptions()
    assert FINAL.num_runs > search.num_runs and FINAL.min_secs > search.min_secs
