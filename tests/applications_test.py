"""A sample of `make coverage`, and that its table is complete."""

import json
import math

import pytest

from benchmarks import coverage
from tests import applications


@pytest.mark.parametrize("name", ["MobileNetV3Small"])
def test_a_network_keeps_every_promise(name, tmp_path):
    told = applications.describe(name)
    assert told["prunable"] > 0.99
    pruned = applications.check_pruning(name, structures=1)
    assert pruned["error"] < 1e-5
    assert pruned["depends"] > 1e-3
    assert pruned["cost_exact"]
    assert 0 < applications.check_pruning_net(name, hidden=1)["loss"] < 100
    converted = applications.check_conversion(name, tmp_path)
    assert converted["tflite_bytes"] > 10_000
    assert converted["error"] < 1e-3 < 10 * converted["depends"]


def test_the_table_is_complete_and_written_from_the_answers():
    answers = json.loads(coverage.ANSWERS.read_text(encoding="utf-8"))
    assert len(applications.names()) == 40
    assert coverage.TABLE.read_text(encoding="utf-8") == coverage.table(answers)
    for name in applications.names():
        told = answers[name]
        assert sorted(told) == sorted(coverage.CHECKS)
        assert not [check for check, answer in told.items() if "failed" in answer]
        assert told["graph"]["prunable"] > 0.98
        assert told["graph"]["searchable"] >= told["graph"]["groups"] - 3
        assert told["pruning"]["error"] < 1e-5 < 1e-3 < told["pruning"]["depends"]
        assert told["pruning"]["cost_exact"]
        assert told["conversion"]["error"] < 1e-3 < 10 * told["conversion"]["depends"]
        assert told["pruning_net"]["hidden"] >= 1 and math.isfinite(told["pruning_net"]["loss"])
