"""A ``benchmark_model`` of a few lines of shell, for what happens around the genuine one."""

from __future__ import annotations

import pathlib
import stat

# Prints inferences of 4 ms after one of 5 ms. BEFORE is run first, AFTER before its last lines.
_SCRIPT = r"""#!/bin/sh
HERE={here}
echo "$@" >>"$HERE/calls"
num_runs=50 min_secs=1 max_secs=150 warmup_runs=1 warmup_min_secs=0.5
for flag in "$@"; do
  value=${{flag#*=}}
  case $flag in
    --num_runs=*) num_runs=$value ;;
    --min_secs=*) min_secs=$value ;;
    --max_secs=*) max_secs=$value ;;
    --warmup_runs=*) warmup_runs=$value ;;
    --warmup_min_secs=*) warmup_min_secs=$value ;;
    --graph=*) graph=$value ;;
    --result_file_path=*) result_file=$value ;;
    --enable_op_profiling=true) profile=yes ;;
  esac
done
{before}
cat "$graph" >/dev/null || exit 1
same="(all same)"
if [ "$num_runs" = 1 ]; then same=; fi
running() {{
  echo "INFO: Running benchmark for at least $1 iterations and at least $2 seconds" \
    "but terminate if exceeding $max_secs seconds."
}}
echo "INFO: STARTING!
INFO: Graph: [$graph]
INFO: Loaded model $graph
INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate.
INFO: Initialized session in 20ms."
running $warmup_runs $warmup_min_secs
echo "INFO: count=1 curr=5000 p5=5000 median=5000 p95=5000
"
running $num_runs $min_secs
{after}
echo "INFO: count=$num_runs curr=4000$same p5=4000 median=4000 p95=4000

INFO: Inference timings in us: Init: 20000, First inference: 5000, Warmup (avg): 5000, Inference (avg): 4000
INFO: Memory footprint delta from the start of the tool (MB): init=36.5 overall=38.25"
if [ -n "$profile" ]; then
  printf 'INFO: Operator-wise Profiling Info for Regular Benchmark Runs:\n============== Run Order ==============\n'
  printf '\t[node type]\t[first]\t[avg ms]\t[%%]\t[cdf%%]\t[mem KB]\t[times called]\t[Name]\n'
  printf '\tCONV_2D\t0.5\t1.000\t25.0%%\t25.0%%\t0.0\t1\t[a;b]:0\n'
  printf '\tSoftmax (NC, F32)\t3.0\t3.000\t75.0%%\t100.0%%\t0.0\t1\tx\033[2J:1\n'
  printf '\nNumber of nodes executed: 2\nTimings (microseconds): count=50 curr=4000(all same)\n'
fi
{end}
"""


def write_stand_in(path: pathlib.Path, *, before: str = "", after: str = "", end: str = "") -> pathlib.Path:
    """Returns ``path``, now an executable; it notes its calls in the file ``calls`` beside it.

    Args:
        path: where to write it.
        before: shell commands to begin with; the flags are in variables of their names.
        after: shell commands before the timed inferences are told.
        end: shell commands to end with.
    """
    here = "'" + str(path.parent).replace("'", "'\\''") + "'"
    path.write_text(_SCRIPT.format(here=here, before=before, after=after, end=end))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def write_model(path: pathlib.Path, content: bytes = b"something") -> pathlib.Path:
    """Returns ``path``, now a file that begins like a model; the stand-in asks for no more."""
    path.write_bytes(b"\x1c\x00\x00\x00TFL3" + content)
    return path


def calls(folder: pathlib.Path) -> list[str]:
    """Returns the arguments of each call of the stand-in in ``folder``."""
    return (folder / "calls").read_text().splitlines()
