"""Objectives: structures to numbers with a unit. To add one: a file and a line here."""

from tfmeta.objectives.types import (
    ClosedForm,
    Constraint,
    Estimate,
    Estimated,
    Objective,
    Prepared,
    Revised,
    predicted_name,
)

# Name -> place. "accuracy" takes (net, splits), the closed-form ones a graph.
OBJECTIVES = {
    "accuracy": "tfmeta.objectives.accuracy:Accuracy",
    "latency": "tfmeta.latency.objective:Latency",
    "macs": "tfmeta.objectives.macs:Macs",
    "params": "tfmeta.objectives.params:Params",
    "size": "tfmeta.objectives.size:Size",
}

# Those that need a graph and nothing else, so a constraint may name them without making one.
CLOSED_FORM = ("macs", "params", "size")

__all__ = [
    "CLOSED_FORM",
    "OBJECTIVES",
    "ClosedForm",
    "Constraint",
    "Estimate",
    "Estimated",
    "Objective",
    "Prepared",
    "Revised",
    "predicted_name",
]
