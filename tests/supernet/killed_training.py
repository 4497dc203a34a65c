"""Training that stops for good in the middle of its second epoch; a test kills it there."""

import sys
import time
from pathlib import Path

from tests.supernet import digits
from tfmeta import callbacks, training

# Of 9 steps an epoch.
STOP_AT_STEP = 13


class Stuck(callbacks.Progress):
    """Says so and waits once it has done `STOP_AT_STEP` steps."""

    done = 0

    def on_train_batch_end(self, batch, logs=None):
        Stuck.done += 1
        if Stuck.done == STOP_AT_STEP:
            print("stuck", flush=True)
            time.sleep(600)


if __name__ == "__main__":
    callbacks.Progress = Stuck  # type: ignore[misc]
    training.fit(digits.net(), digits.splits(), digits.OPTIONS, checkpoint=Path(sys.argv[1]))
