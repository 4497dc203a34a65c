"""Keras 2 (tf_keras) and tensorflow-model-optimization, which works on nothing else. No other package imports either.

A finished Keras 3 network goes in. What can be carried back comes out as a Keras 3 network again (sparse and clustered
weights); what cannot (quantization-aware training) comes out as a TFLite file.
"""
