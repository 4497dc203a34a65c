"""From a Keras model to TFLite files that were run before they count as written."""

SCHEMES = {
    "fp32": "tfmeta.export.schemes.fp32:SCHEME",
    "int8": "tfmeta.export.schemes.int8:SCHEME",
    # These train the network first.
    "int8_qat": "tfmeta.export.schemes.int8_qat:SCHEME",
    "sparse": "tfmeta.export.schemes.sparse:SCHEME",
    "sparse_2_4": "tfmeta.export.schemes.sparse_2_4:SCHEME",
    "clustered": "tfmeta.export.schemes.clustered:SCHEME",
    "sparse_clustered": "tfmeta.export.schemes.sparse_clustered:SCHEME",
    "sparse_qat": "tfmeta.export.schemes.sparse_qat:SCHEME",
    "clustered_qat": "tfmeta.export.schemes.clustered_qat:SCHEME",
    "sparse_clustered_qat": "tfmeta.export.schemes.sparse_clustered_qat:SCHEME",
}

__all__ = ["SCHEMES"]
