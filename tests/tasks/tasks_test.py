"""Laws of every task, and the mean IoU by hand and as Keras has it."""

import keras
import numpy as np
import pytest

from tfmeta import tasks
from tfmeta.errors import UserError
from tfmeta.registry import resolve
from tfmeta.tasks import TASKS

CLASSES = 5
each_task = pytest.mark.parametrize("name", TASKS)


def _task(name):
    return resolve(TASKS, name, "task")


def _labelled(task, seed=0):
    """Random labels of 12 images, and outputs that are right for about half of them."""
    rng = np.random.default_rng(seed)
    shape = (12, *(6, 4)[: task.label_axes])
    labels = rng.integers(0, CLASSES - 1, shape)  # the last class does not occur
    answers = np.where(rng.random(shape) < 0.5, labels, rng.integers(0, CLASSES - 1, shape))
    return labels, np.eye(CLASSES)[answers] + rng.uniform(0, 0.5, (*shape, CLASSES))


@each_task
def test_a_task_is_known_by_the_shape_of_its_labels(name):
    task = _task(name)
    assert task.name == name
    assert tasks.of((8,) * task.label_axes) is task
    assert "{classes}" in task.about and task.title.lower() == task.metric.lower()


@each_task
def test_the_score_is_of_all_batches_together_whatever_their_size(name):
    labels, outputs = _labelled(_task(name))
    whole = tasks.score([(labels, outputs)])
    assert 0.2 < whole < 0.8
    for size in (1, 5):
        parts = [(labels[i : i + size], outputs[i : i + size]) for i in range(0, len(labels), size)]
        assert tasks.score(parts) == pytest.approx(whole, abs=1e-12)


@each_task
def test_right_answers_score_one_and_wrong_ones_nothing(name):
    labels, _ = _labelled(_task(name))
    assert tasks.score([(labels, np.eye(CLASSES)[labels])]) == 1.0
    assert tasks.score([(labels, np.eye(CLASSES)[(labels + 1) % CLASSES])]) == 0.0


@each_task
def test_what_training_shows_is_the_score(name):
    task = _task(name)
    labels, outputs = _labelled(task)
    metric = task.while_training(CLASSES)
    for part in (slice(0, 5), slice(5, 12)):
        metric.update_state(labels[part], outputs[part].astype("float32"))
    assert float(metric.result()) == pytest.approx(tasks.score([(labels, outputs)]), abs=1e-6)
    assert metric.name == task.metric.lower().replace(" ", "_")


def test_fewer_images_at_a_time_where_they_or_their_maps_are_large():
    assert [tasks.at_a_time((side, side, 3)) for side in (28, 64, 224, 512, 4096)] == [250, 250, 20, 4, 1]
    assert [tasks.at_a_time((28, 28), (side, side)) for side in (28, 512)] == [250, 4]


def test_mean_iou_by_hand():
    # Two images of 1x4 pixels, four classes of which the last neither occurs nor is answered.
    labels = np.array([[[0, 0, 0, 1]], [[1, 1, 0, 2]]])
    answers = np.array([[[0, 0, 1, 1]], [[1, 0, 0, 1]]])
    # Class 0: 3 right, 4 labelled, 4 answered: 3 / 5. Class 1: 2 right, 3 and 4: 2 / 5. Class 2: 0 of 1: 0.
    assert tasks.score([(labels, np.eye(4)[answers])]) == pytest.approx((3 / 5 + 2 / 5 + 0) / 3)


def test_outputs_that_do_not_fit_the_labels():
    with pytest.raises(UserError, match=r"outputs of shape \[2, 6, 4, 'classes'\].*Received: \[2, 5\]"):
        tasks.score([(np.zeros((2, 6, 4), int), np.zeros((2, 5)))])
    with pytest.raises(UserError, match=r"0 \(classification\), 2 \(segmentation\)\. Received: \[7\]"):
        tasks.of((7,))
    with pytest.raises(UserError, match="Received: none"):
        tasks.score([])


def test_a_teacher_is_followed_in_every_pixel_alike():
    from tfmeta.distillation import Distillation

    rng = np.random.default_rng(0)
    maps, teacher = rng.normal(size=(2, 3, 4, 6, CLASSES)).astype("float32")
    rows = Distillation(lambda _: teacher.reshape(-1, CLASSES), 0.7, 2.0).loss(None, maps.reshape(-1, CLASSES), 1.0)
    pixels = Distillation(lambda _: teacher, 0.7, 2.0).loss(None, maps, 1.0)
    np.testing.assert_allclose(pixels, rows, rtol=1e-6)
    # By hand: cross-entropy of the softened answers, times the temperature squared.
    soft = [np.asarray(keras.ops.log_softmax(x / 2.0)) for x in (teacher, maps)]
    expected = 0.3 * 1.0 - 0.7 * 4.0 * np.mean(np.sum(np.exp(soft[0]) * soft[1], -1))
    np.testing.assert_allclose(pixels, expected, rtol=1e-5)
