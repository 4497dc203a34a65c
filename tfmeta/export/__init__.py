"""From a Keras model to TFLite files that were run before they count as written."""

SCHEMES = {
    "fp32": "tfmeta.export.schemes.fp32:SCHEME",
    "fp16": "tfmeta.export.schemes.fp16:SCHEME",
    "dynamic_int8": "tfmeta.export.schemes.dynamic_int8:SCHEME",
    "int8": "tfmeta.export.schemes.int8:SCHEME",
    "int8_io": "tfmeta.export.schemes.int8_io:SCHEME",
    "int16x8": "tfmeta.export.schemes.int16x8:SCHEME",
}

# Schemes that train the network before it is converted.
TRAINED_SCHEMES = {
    "int8_qat": "tfmeta.export.schemes.int8_qat:SCHEME",
    "sparse": "tfmeta.export.schemes.sparse:SCHEME",
    "sparse_2_4": "tfmeta.export.schemes.sparse_2_4:SCHEME",
    "clustered": "tfmeta.export.schemes.clustered:SCHEME",
    "sparse_clustered": "tfmeta.export.schemes.sparse_clustered:SCHEME",
    "sparse_qat": "tfmeta.export.schemes.sparse_qat:SCHEME",
    "clustered_qat": "tfmeta.export.schemes.clustered_qat:SCHEME",
    "sparse_clustered_qat": "tfmeta.export.schemes.sparse_clustered_qat:SCHEME",
}

ALL_SCHEMES = {**SCHEMES, **TRAINED_SCHEMES}

# What is exported unless the user says otherwise: the reference, and the smallest and fastest that loses little.
DEFAULT_SCHEMES = ("fp32", "int8")

__all__ = ["ALL_SCHEMES", "DEFAULT_SCHEMES", "SCHEMES", "TRAINED_SCHEMES"]
