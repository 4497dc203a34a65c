"""The Markdown of a report, written out."""

from __future__ import annotations

import dataclasses

from tfmeta.report.data import ReportData, Row
from tfmeta.report.markdown import to_markdown

# Numbers by hand: 45678 B = 45.7 kB, 980000 = 980 k, 0.4123 ms to three digits. The finding about
# random: 1 point; chance is 1.96 * sqrt((0.95 * 0.05 + 0.94 * 0.06) / 10000) = 0.6 points, so it
# counts. Uniform was not retrained, so the search split is compared: 10 points, and chance on its
# 500 images is 1.96 * sqrt((0.8 * 0.2 + 0.7 * 0.3) / 500) = 5.3. 980 / 4000 = 24.5 %, to even.
EXPECTED = """\
# mobilenet on digits

Budget: at most 1 M MACs

- Searched (95.0 %) beats random (94.0 %) on the test split: by 1.0 points.
- Searched (80.0 %) beats uniform (70.0 %) on the search split with generated weights (not retrained): by 10.0 points.
- Searched needs 24 % of the full network's MACs for 2.0 points less test accuracy.

| Network | Accuracy, test split | Accuracy, search split (generated weights) | MACs | Params | Size (int8 .tflite) | Latency p50 (host CPU) | Latency p90 |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| searched | 95.0 % | 80.0 % | 980 k | 12.3 k | 45.7 kB | 0.412 ms | 0.468 ms |
| random | 94.0 % | 78.0 % | 990 k | 12.0 k | 44.0 kB | 0.410 ms (NOISY) | 0.500 ms (NOISY) |
| uniform | not retrained | 70.0 % | 1.00 M | 13.0 k | 45.0 kB | not measured: no device | not measured: no device |
| full | 97.0 % | not measured | 4.00 M | 50.0 k | not measured | not measured | not measured |

## Files

| File | Scheme | Size | Accuracy, test split | Agrees | Agrees with float | Latency p50 | Latency p90 | Runs timed | Verdict | Loading + first run | Peak memory | Oldest runtime | SHA-256 |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| searched-int8.tflite | int8 | 45.7 kB | 94.0 % | 99.0 % | 97.0 % | not measured: no device | – | – | – | – | – | 1.14.0 | 01234567 |
| full | fp32 | 200 kB | not measured | not measured | not measured | 1.25 ms | 1.50 ms | 12,345 | NOISY | 2.50 + 1.75 ms | 4.2 MiB | not measured | not recorded |

Agrees: how often the file gives the same class as the network that it was converted from, and as the float network. A run is an inference.

## Mixed precision

| Network, layers not in int8 | Size | Accuracy, search split | Accuracy, test split | Latency p50 | Times the float file's | Verdict |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| searched, all in float | 180 kB | 81.0 % | 95.1 % | 1.00 ms | 1.00 | OK |
| searched, 2 in int16 | 60.0 kB | 80.5 % | 94.9 % | 0.500 ms | 0.50 | OK |

## Channels

| Group | Full | Chosen |
| --- | ---: | ---: |
| stem | 32 | 24 |
| block_1 | 64 | 16 |

## How each number was made

- **Latency**: on the host, 1 thread

Versions: keras 3.15.1, tensorflow 2.21.0

```sh
tfmeta run --workdir=runs/x
```
"""  # noqa: E501


def test_whole_report(data):
    assert to_markdown(data) == EXPECTED


def test_names_cannot_break_the_table(data):
    odd = dataclasses.replace(data, rows=(Row("a|b\n<script>", 1, 1),))
    (line,) = (line for line in to_markdown(odd).splitlines() if "script" in line)
    assert line.startswith("| a\\|b &lt;script&gt; |")
    assert line.replace("\\|", "").count("|") == 9  # eight cells


def test_report_of_nothing():
    text = to_markdown(ReportData("net", "digits", "none", rows=()))
    assert "No network was found by the search yet" in text
    assert "## Files" not in text and "## Channels" not in text
