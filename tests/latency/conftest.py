"""A network whose full structure takes far longer than its smallest, and options that measure quickly."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.phone import AdbServer
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.latency import LatencyOptions
from tfmeta.lazy import keras


@pytest.fixture(scope="module")
def adb_server() -> Iterator[AdbServer]:
    """An adb server of the module's own, which this process and those that it starts use."""
    with AdbServer() as server, server.used():
        yield server


@pytest.fixture(scope="session")
def model() -> Any:
    """Two large convolutions and a batch norm that cannot be folded into either (it comes after an Add)."""
    image = keras.Input((16, 16, 3), name="image")
    stem = keras.layers.Conv2D(64, 3, padding="same", name="stem")(image)
    x = keras.layers.Conv2D(64, 3, padding="same", name="body")(stem)
    x = keras.layers.BatchNormalization(name="bn")(keras.layers.Add(name="add")([x, stem]))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.ReLU(name="relu")(x))
    return keras.Model(image, keras.layers.Dense(4, name="logits")(x), name="two_convolutions")


@pytest.fixture(scope="session")
def graph(model: Any) -> ChannelGraph:
    return ChannelGraph.from_model(model)


@pytest.fixture(scope="session")
def space(graph: ChannelGraph) -> SearchSpace:
    return SearchSpace.from_graph(graph, multiple_of=8)


@pytest.fixture(scope="session")
def quick() -> LatencyOptions:
    """Short and without second tries: what is tested does not depend on a quiet machine."""
    return LatencyOptions(rounds=5, num_runs=10, min_secs=0.05, warmup_secs=0.01, retries=0)


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that keeps the converted files, so that a structure is converted once a session."""
    return tmp_path_factory.mktemp("converted")
