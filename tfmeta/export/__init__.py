"""From a Keras model to TFLite files that were run before they count as written."""

SCHEMES = {
    "fp32": "tfmeta.export.schemes.fp32:SCHEME",
    "int8": "tfmeta.export.schemes.int8:SCHEME",
}

__all__ = ["SCHEMES"]
