"""One phone as a device, through adb."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tflite_bench.adb import texts
from tflite_bench.adb.connection import Adb
from tflite_bench.bench_options import BenchOptions
from tflite_bench.benchmark_model.binaries import executable_for
from tflite_bench.benchmark_model.loaded import BinaryModel
from tflite_bench.benchmark_model.op_profile import OpProfile
from tflite_bench.conditions import Conditions
from tflite_bench.device import Device
from tflite_bench.device_options import DeviceOptions
from tflite_bench.errors import BenchError, DeviceError, DeviceHungError, DeviceLostError, OptionsError
from tflite_bench.limits import Limits
from tflite_bench.messages import tell
from tflite_bench.model_file import read_model_file
from tflite_bench.phone import claim as phone_claim
from tflite_bench.phone import cores as phone_cores
from tflite_bench.phone import identity as phone_identity
from tflite_bench.phone import state as phone_state
from tflite_bench.phone.claim import PhoneClaim
from tflite_bench.phone.files import PhoneFiles, require_tools
from tflite_bench.phone.identity import Identity
from tflite_bench.phone.lock import PhoneLock
from tflite_bench.phone.program import PROGRAM_SUFFIX, PhoneTool
from tflite_bench.phone.settings import PhoneSettings
from tflite_bench.phone.wait import Comfort, wait_for_return
from tflite_bench.types import DeviceInfo

_FRESH_SECS = 1.0
_LOOK = {**phone_state.COMMANDS, "claim": phone_claim.TOUCH}


class AdbDevice(Device):
    """One phone, locked for this process from opening to closing."""

    def __init__(self, adb: Adb, options: DeviceOptions, identity: Identity, *, pooled: bool = False) -> None:
        """Takes the phone: locks it, makes it fit to measure and puts the executable there.

        Args:
            adb: the way to a phone that takes commands.
            options: how to treat it.
            identity: what it is, see `read_identity`.
            pooled: whether other phones can do its work while it is too hot.

        Raises:
            DeviceBusyError: another process measures on it.
            DeviceLostError: it went away.
            DeviceError: it lacks a program that is needed, or there is no executable for it.
        """
        self._adb = adb
        self._options = options
        self._pooled = pooled
        self._lost = False
        self._closed = False
        self._seen: tuple[float, Conditions] | None = None  # when, and what
        self._identity = identity
        self._cores = identity.cores
        require_tools(self._identity, adb.serial)
        self._executable = executable_for(self._identity.abis, options.benchmark_model)
        self._flavour = self._executable.flavour
        serial = self._identity.serial or adb.serial
        self._comfort = Comfort(self._shown, options)
        self._lock = PhoneLock(serial, self._shown)
        self._claim = PhoneClaim(adb, self._shown, options.hang_secs)
        self._settings = PhoneSettings(adb, serial, options)
        self._files = PhoneFiles(adb, options.hang_secs)
        try:
            self._prepare_first()
        except BaseException:
            self.close()
            raise

    @property
    def _shown(self) -> str:
        return f"{self._identity.model} ({self._adb.serial})" if self._identity.model else self._adb.serial

    def _prepare_first(self) -> None:
        try:
            with self._watched():
                self._prepare()
        except DeviceLostError as error:
            tell(f"{error} Preparing the phone starts anew.")
            self._return()

    def _prepare(self) -> None:
        """Brings the phone into the state that measuring needs; after opening, and whenever it was away."""
        self._claim.take()
        self._files.prepare()
        self._settings.apply()
        program = self._files.put(self._executable.path, self._executable.sha256, PROGRAM_SUFFIX)
        self._files.hold(program)

    def info(self) -> DeviceInfo:
        """Returns the description of the phone and of the executable on it."""
        return DeviceInfo(
            kind="adb",
            name=self._identity.model or "unknown phone",
            arch=self._executable.abi,
            os_version=f"Android {self._identity.android} ({self._identity.build})",
            cores=self._identity.cores.count,
            runtime="benchmark_model",
            runtime_version=self._executable.sha256[:16],
            mode=self._settings.mode,
            serial=self._identity.serial or self._adb.serial,
        )

    def load(self, model: str | os.PathLike[str], options: BenchOptions) -> BinaryModel:
        """Returns the model on the phone, having been run once as ``options`` say.

        Raises:
            ModelFileError: the file is no model, or the runtime cannot run it.
            OptionsError: the phone has no such cores, or the executable cannot do what the options ask for.
            DeviceLostError: the phone went away; after `settle` loading can be tried again.
            DeviceError: the phone or the executable fails.
        """
        file = read_model_file(model)
        tool = PhoneTool(
            self._adb,
            self._files,
            self._executable,
            file,
            mask=self._mask(options),
            tools=self._identity.tools,
            hang_secs=self._options.hang_secs,
            watched=self._watched,
        )
        loaded = BinaryModel(file, options, tool, flavour=self._flavour)  # gives up the tool where it fails
        self._flavour = loaded.flavour
        return loaded

    def profile(self, model: str | os.PathLike[str], options: BenchOptions | None = None) -> OpProfile:
        """Returns how long each operator of ``model`` takes."""
        with self.load(model, options or BenchOptions()) as loaded:
            return loaded.profile()

    def conditions(self) -> Conditions:
        """Returns temperature, thermal status, battery and clocks as they are now.

        Raises:
            DeviceLostError: the phone went away.
        """
        # `settle` looked a moment ago: asking a phone takes some tenths of a second.
        seen, self._seen = self._seen, None
        if seen is not None and time.monotonic() - seen[0] < _FRESH_SECS:
            return seen[1]
        return self._look()[0]

    @property
    def limits(self) -> Limits:
        """What was asked for; the fixed-performance mode lowers clocks by itself."""
        share = 0.0 if self._settings.mode else self._options.min_clock_share
        return Limits(self._options.max_thermal_status, share)

    def settle(self, pin: str = "none") -> None:
        """Waits until the phone is there, and cool, each for a bounded time, and tells the screen why.

        A phone that does not cool in time is measured all the same: the verdict then tells. Clocks of other cores than
        those of ``pin`` do not matter, to either.

        Raises:
            DeviceHotError: it is too hot, and others of its pool may be cooler; after so much time, no more.
            DeviceLostError: it did not come back in time.
            DeviceError: another phone came back in its place.
        """
        if self._lost:
            self._return()
        try:
            self._be_cool(pin)
        except DeviceLostError:
            self._return()
            self._be_cool(pin)

    def interrupt(self) -> None:
        """Ends the call of adb that another thread waits for; only `close` may follow."""
        self._adb.interrupt()

    def close(self) -> None:
        """Puts settings back, removes the files and frees the phone; what the phone is not there for, next time."""
        if self._closed:
            return
        self._closed = True
        self._adb.resume()
        if not self._claim.taken:  # it is another's: nothing was done to it
            self._lock.release()
            return
        try:
            # A silent phone would else be waited for at every step.
            if (self._lost or not self._adb.answers()) and self._adb.reach() != texts.DEVICE:
                raise DeviceLostError(f"The phone {self._shown} is not there.")
            if self._lost:
                self._require_same()
            self._settings.restore()
            self._files.close(keep=self._options.keep_files)
            self._claim.release()
        except BenchError as error:
            left = " its changed settings and" if self._settings.changed else ""
            tell(f"{error} What is left there,{left} the folder {self._files.folder}, is put right at the next use.")
        finally:
            self._lock.release()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except (DeviceLostError, DeviceHungError):
            self._lost = True  # what was running may run still: the phone is prepared anew
            raise

    def _mask(self, options: BenchOptions) -> int | None:
        if options.pin == "none":
            return None
        if "taskset" not in self._identity.tools:
            raise OptionsError(f"The phone {self._shown} has no program taskset: expected pin=none.")
        with self._watched():  # cores are switched off and on as the phone likes, so they are looked at again
            told = self._adb.shell(phone_cores.COMMAND, self._options.hang_secs).stdout
        self._cores = phone_cores.parse(told).remembering(self._cores)
        return self._cores.mask(options.pin, options.threads)

    def _look(self) -> tuple[Conditions, bool]:
        with self._watched():
            answers = self._adb.sections(_LOOK, self._options.hang_secs)
        return phone_state.parse(answers), phone_state.is_awake(answers)

    def _be_cool(self, pin: str) -> None:
        limits = dataclasses.replace(self.limits, pin=pin)
        now = self._comfort.wait(self._look_awake, self._adb.wait, limits, others=self._pooled)
        self._seen = time.monotonic(), now

    def _look_awake(self) -> Conditions:
        now, awake = self._look()
        if self._options.keep_awake and not awake:
            with self._watched():
                self._settings.wake()
        return now

    def _return(self) -> None:
        wait_for_return(self._adb, self._shown, self._options.lost_secs, self._welcome)

    def _welcome(self) -> None:
        self._require_same()
        self._prepare()
        self._lost = False

    def _require_same(self) -> None:
        found = read_identity(self._adb)
        if found.serial != self._identity.serial:
            raise DeviceError(
                f"Another phone answers at {self._adb.serial}: expected {self._identity.serial!r}, received "
                f"{found.serial!r}. Attach the first one again."
            )


def read_identity(adb: Adb) -> Identity:
    """Returns what the phone is.

    Raises:
        DeviceLostError: it went away.
    """
    return phone_identity.parse(adb.sections(phone_identity.COMMANDS))
