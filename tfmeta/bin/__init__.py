"""The command line: one module a verb, each of them flags, options and one library call.

To add a verb, write ``tfmeta/bin/VERB.py`` with ``FLAGS`` and ``main`` and add its line here.
"""

VERBS = {
    "describe": "Print a model's channel groups, its MACs and parameters.",
    "prune": "Prune a pretrained model in one shot, by the importance of its channels.",
    "latency": "Measure structures on a device, and fit a predictor of latency to them.",
    "train": "Train the network that generates the weights of every structure.",
    "search": "Search structures by accuracy with generated weights, within a budget.",
    "retrain": "Train the best structure, and its controls, as plain Keras models.",
    "export": "Write TFLite files, each checked against its Keras model.",
    "mixed": "Keep in float or int16 the layers that suffer from int8.",
    "check": "Tell whether a .tflite file, of any origin, is fit to ship.",
    "report": "Make the result table, the plots and report.html.",
    "run": "Do all stages, from train to report.",
}
