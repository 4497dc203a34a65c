"""From a Keras model to TFLite files that were run before they count as written."""

SCHEMES = {
    "fp32": "tfmeta.export.schemes.fp32:SCHEME",
    "fp16": "tfmeta.export.schemes.fp16:SCHEME",
    "dynamic_int8": "tfmeta.export.schemes.dynamic_int8:SCHEME",
    "int8": "tfmeta.export.schemes.int8:SCHEME",
    "int8_io": "tfmeta.export.schemes.int8_io:SCHEME",
    "int16x8": "tfmeta.export.schemes.int16x8:SCHEME",
}

# What is exported unless the user says otherwise: the reference, and the smallest and fastest that loses little.
DEFAULT_SCHEMES = ("fp32", "int8")

__all__ = ["DEFAULT_SCHEMES", "SCHEMES"]
