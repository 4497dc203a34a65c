"""Keras callbacks of training: progress on the screen, checkpoints, a stop when the loss is not a number.

This module subclasses Keras, so importing it imports TensorFlow; `training` imports it when training begins.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tfmeta.checkpoint import save_weights
from tfmeta.errors import TrainingError
from tfmeta.lazy import keras
from tfmeta.progress import meter

# Reading the loss waits for the step to end, so it is looked at now and then.
_CHECK_EVERY = 20
# Without the rate, so that loss and accuracy fit on a line of 80 characters.
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


class Progress(keras.callbacks.Callback):
    """Draws one progress bar over all epochs, with the time left, and stops training whose loss is not a number."""

    def __init__(self, description: str, epochs: int, steps: int, first_epoch: int) -> None:
        super().__init__()
        self._description, self._epochs, self._steps, self._first_epoch = description, epochs, steps, first_epoch

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the bar."""
        self._bar = meter(
            self._description,
            total=self._epochs * self._steps,
            initial=self._first_epoch * self._steps,
            bar_format=_BAR,
        )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Moves the bar."""
        self._bar.update()
        if batch % _CHECK_EVERY == 0:
            self._check(logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Shows loss and training accuracy."""
        self._check(logs)
        values = ", ".join(f"{name} {value:.3g}" for name, value in (logs or {}).items())
        self._bar.set_postfix_str(f"epoch {epoch + 1}/{self._epochs} {values}")

    def on_train_end(self, logs: Any = None) -> None:
        """Leaves the bar on the screen."""
        self._bar.close()

    def _check(self, logs: Any) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            self._bar.close()
            raise TrainingError(
                f"The loss is {loss} at step {int(self.model.optimizer.iterations)}. Lower the learning rate, or look "
                "for broken images or labels. The checkpoint of the epoch before is untouched."
            )


class Checkpoint(keras.callbacks.Callback):
    """Writes weights and optimizer state after every epoch, whole or not at all."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Replaces the checkpoint."""
        self.model.epochs.assign(epoch + 1)
        save_weights(self.model, self._path)
