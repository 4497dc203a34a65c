"""The command line: one module a verb, each of them flags, options and one library call.

To add a verb, write ``tflite_bench/bin/VERB.py`` with ``FLAGS`` and ``main`` and add its line here.
"""

VERBS = {
    "run": "Measure the latency of models.",
    "compare": "Time two models in turns and tell which is faster.",
    "profile": "Time each operator of a model.",
    "staircase": "Find the multiples of channels at which layers become faster.",
    "devices": "List what can be measured on, and why something cannot.",
    "fetch": "Download the official benchmark_model for a phone.",
}
