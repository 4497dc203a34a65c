"""A latency table in words."""

from __future__ import annotations

from tfmeta.latency.table import LatencyTable


def lines(table: LatencyTable) -> list[str]:
    """Returns what a table tells, as lines of text."""
    device, options, error = table.device, table.options, table.error
    held_out = sum(one.held_out for one in table.points)
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in table.verdicts.items())
    facts = {
        "Network": f"{table.network}, full: {table.baseline_ms:.3f} ms",
        "Device": f"{device.name} ({device.arch}, {device.cores} cores, {device.os_version}) {device.mode}".strip(),
        "Runtime": f"{device.runtime} {device.runtime_version}, {options.threads} thread(s), cores: {options.pin}, "
        f"delegate: {options.delegate}",
        "Scheme": f"{options.scheme}, made by {table.converter}",
        "Measured": f"{len(table.points) - held_out} structures to fit and {held_out} held out, {table.created}: "
        f"{verdicts}",
        "Error": f"mean {100 * error.mape:.2f} %, worst {100 * error.worst:.1f} %, Kendall's tau {error.tau:.3f} on the"
        f" held-out structures; {100 * error.within:.0f} % of them within two standard deviations of prediction and "
        "measurement together",
    }
    shares = table.shares()
    width = max(map(len, shares))
    return [
        *(f"{what:<9} {text}" for what, text in facts.items()),
        "Operators of the full network, as the predictor divides its latency:",
        *(f"  {kind:<{width}} {count:>4} {100 * share:>6.1f} %" for kind, (count, share) in shares.items()),
    ]
