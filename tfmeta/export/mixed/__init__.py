"""Mixed precision: int8 where it costs nothing, float or int16 in the few layers where it does.

`bits` says what a file's layers are in, `quantizer` writes such a file, `sensitivity` finds the layers that suffer.
"""
