"""What can go wrong in a measurement, under one root."""


class BenchError(RuntimeError):
    """Root of the package's errors: ``except BenchError`` catches them all."""


class OptionsError(BenchError, ValueError):
    """An option or a device string has a value that cannot be used."""


class ModelFileError(BenchError):
    """The file is missing, is not a TFLite model, or the runtime cannot run it."""


class DeviceError(BenchError):
    """The device or its runtime cannot be used."""


class DeviceLostError(DeviceError):
    """The device went away in the middle, or does not answer: what was running has to be done again."""


class DeviceHungError(DeviceError):
    """What was run on the device did not end in time and was killed; the device itself answers."""


class DeviceHotError(DeviceError):
    """The device is too hot to measure now, and others may be cooler: it has to rest.

    Attributes:
        measured: it was measured, and throttled again and again.
    """

    measured = False


class DeviceBusyError(DeviceError):
    """Another process measures on the device."""


class OutputError(DeviceError):
    """What ``benchmark_model`` printed is incomplete, contradicts itself or is not its format."""


class DownloadError(BenchError):
    """An executable cannot be downloaded, or is not the one that was expected."""
