"""Network families and the paper's search spaces: one file a family.

Every builder takes `(input_shape, classes, width=1.0, ...)` and returns a Functional Keras model with an input named
"image" that takes raw pixels 0..255 and an output named "logits": a score for each class, or for each class and pixel.
To add a family, write its file and add a line here.
"""

from __future__ import annotations

# Name of a family to its builder.
NETWORKS = {
    "fcn": "tfmeta.networks.fcn:fcn",
    "mobilenet_v1": "tfmeta.networks.mobilenet_v1:mobilenet_v1",
    "mobilenet_v2": "tfmeta.networks.mobilenet_v2:mobilenet_v2",
    "resnet": "tfmeta.networks.resnet:resnet",
    "resnet50": "tfmeta.networks.resnet50:resnet50",
    "unet": "tfmeta.networks.unet:unet",
    "vgg": "tfmeta.networks.vgg:vgg",
}

# Name to the network, search space and weight generators of the MetaPruning paper (`preset.Preset`).
PRESETS = {
    "mobilenet_v1": "tfmeta.networks.mobilenet_v1:METAPRUNING",
    "mobilenet_v2": "tfmeta.networks.mobilenet_v2:METAPRUNING",
    "resnet50": "tfmeta.networks.resnet50:METAPRUNING",
}
