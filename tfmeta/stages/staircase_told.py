"""What a report tells of the sweep that a project's widths are multiples after."""

from __future__ import annotations

from tfmeta.latency.staircase import DeviceStep, read_staircase
from tfmeta.project import Project


def staircase_of(project: Project) -> DeviceStep | None:
    """Returns the sweep that the project began with, where there was one.

    Raises:
        UserError: it cannot be read.
    """
    path = project.workdir.staircase
    return read_staircase(path) if path.exists() else None


def how_staircase(step: DeviceStep | None) -> tuple[tuple[str, str], ...]:
    """Returns how the multiple of the widths came about: (what, how)."""
    if step is None:
        return ()
    layers = ", ".join(f"{layer.name} {layer.step}" for layer in step.layers)
    runs = sum(point.num_runs for layer in step.layers for point in layer.points)
    told = (
        f"multiples of {step.multiple_of}, the largest step of single layers on {step.where} (fingerprint "
        f"{step.device}): {layers}; {runs:,} inferences by tflite-bench staircase"
    )
    return (("Widths", told),)
