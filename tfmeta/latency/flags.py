"""The flags of devices, which are those of ``tflite-bench``: defined there, once for both programs."""

from tflite_bench.bin.option_flags import define_device, define_place, device_options, place

__all__ = ["define_device", "define_place", "device_options", "place"]
