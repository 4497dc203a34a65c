"""Small networks, one for every way in which channels have tripped up pruners, and what can be chosen in each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.nets import CLASSES, IMAGE
from tfmeta.lazy import keras


@dataclass(frozen=True)
class Hazard:
    """A network and its searchable groups, as name to size, in graph order."""

    build: Callable[[], Any]
    searchable: dict[str, int]


HAZARDS: dict[str, Hazard] = {}


def hazard(**searchable: int) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Registers a function from an image to features, or to a model of its own."""

    def register(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def build() -> Any:
            image = keras.Input(IMAGE, name="image")
            x = function(image)
            if isinstance(x, keras.Model):
                return x
            x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
            outputs = keras.layers.Dense(CLASSES, name="logits")(x)
            return keras.Model(image, outputs, name=function.__name__)

        HAZARDS[function.__name__] = Hazard(build, searchable)
        return function

    return register


def conv(x: Any, filters: int, name: str, kernel: int = 3, **options: Any) -> Any:
    """A convolution with an activation that never dies, however few channels are left."""
    options = {"padding": "same", "activation": "elu", **options}
    return keras.layers.Conv2D(filters, kernel, name=name, **options)(x)


@hazard(a=4, b=5, c=6, after=7)
def cascaded_concat(image):
    a, b = conv(image, 4, "a"), conv(image, 5, "b")
    inner = keras.layers.Concatenate(name="inner")([a, b])
    outer = keras.layers.Concatenate(name="outer")([conv(inner, 6, "c"), inner, a])
    return conv(keras.layers.BatchNormalization(name="bn")(outer), 7, "after")


@hazard(a=3, b=5, c=6)
def concat_then_add(image):
    joined = keras.layers.Concatenate(name="join")([conv(image, 3, "a"), conv(image, 5, "b")])
    return conv(keras.layers.Add(name="add")([joined, conv(image, 8, "whole")]), 6, "c")


@hazard(**{"stem": 3, "stem#2": 5, "left": 4, "after": 6})
def split(image):
    left, right = keras.ops.split(conv(image, 8, "stem"), [3], axis=-1)
    return conv(keras.layers.Concatenate(name="join")([conv(left, 4, "left"), right]), 6, "after")


@hazard(**{"stem": 3, "stem#2": 5, "after": 6})
def slices(image):
    x = conv(image, 8, "stem")
    y = keras.layers.Concatenate(name="join")([x[..., 3:], x[..., :3]])
    return conv(y[:, ::2, 1:], 6, "after")


@hazard(**{"stem": 4, "even": 5, "after": 6})
def slices_with_a_step(image):
    x = conv(image, 8, "stem")
    even, odd = conv(x[..., ::2], 5, "even"), x[..., 1::2][..., ::-1]
    return conv(keras.layers.Concatenate(name="join")([even, odd]), 6, "after")


@hazard(first=4, second=2, third=4, after=5)
def channel_shuffle(image):
    x = conv(image, 8, "first", groups=1)
    x = conv(x, 8, "second", groups=2)
    x = keras.layers.Reshape((8, 8, 2, 4), name="apart")(x)
    x = keras.layers.Permute((1, 2, 4, 3), name="shuffle")(x)
    x = keras.layers.Reshape((8, 8, 8), name="together")(x)
    x = conv(x, 8, "third", groups=2)
    return conv(x, 5, "after")


@hazard(first=4, after=5)
def channel_shuffle_with_operations(image):
    x = conv(image, 8, "first")
    x = keras.ops.reshape(x, (-1, 8, 8, 2, 4))
    x = keras.ops.reshape(keras.ops.transpose(x, (0, 1, 2, 4, 3)), (-1, 8, 8, 8))
    return conv(x, 5, "after")


@hazard(stem=4, after=5)
def depth_multiplier(image):
    x = keras.layers.DepthwiseConv2D(3, depth_multiplier=3, name="wide")(conv(image, 4, "stem"))
    return conv(keras.layers.BatchNormalization(name="bn")(x), 5, "after")


@hazard(stem=4, grouped=2, after=5)
def grouped_convolution(image):
    return conv(conv(conv(image, 12, "stem"), 6, "grouped", groups=3), 5, "after")


@hazard(stem=4, separable=6, after=5)
def separable_convolution(image):
    x = keras.layers.SeparableConv2D(6, 3, depth_multiplier=2, strides=2, padding="same", name="separable")(
        conv(image, 4, "stem")
    )
    return conv(keras.layers.BatchNormalization(name="bn")(x), 5, "after")


@hazard(stem=4, up=6, after=5)
def transposed_convolution(image):
    x = conv(image, 4, "stem", strides=2)
    x = keras.layers.Conv2DTranspose(6, 3, strides=2, padding="same", name="up")(x)
    return conv(keras.layers.BatchNormalization(name="bn")(x), 5, "after")


@hazard(stem=4, after=5)
def up_sampling(image):
    x = keras.layers.UpSampling2D(2, name="up")(conv(image, 4, "stem", strides=2))
    return conv(keras.layers.Concatenate(name="join")([x, image]), 5, "after")


@hazard(stem=4, after=5)
def adaptive_pooling(image):
    x = keras.layers.AdaptiveAveragePooling2D((5, 4), name="average")(conv(image, 4, "stem"))
    return conv(keras.layers.AdaptiveMaxPooling2D(3, name="maximum")(x), 5, "after")


@hazard(stem=4, up=3, after=5)
def three_dimensions(image):
    layers = keras.layers
    x = layers.Reshape((4, 4, 4, 3), name="volume")(image)
    x = layers.SpatialDropout3D(0.0, name="drop")(layers.Conv3D(4, 2, activation="elu", name="stem")(x))
    x = layers.BatchNormalization(name="bn")(layers.ZeroPadding3D(1, name="pad")(x))
    x = layers.Conv3DTranspose(3, 2, activation="elu", name="up")(layers.MaxPooling3D(2, 1, name="pool3")(x))
    x = layers.UpSampling3D(2, name="larger")(layers.Cropping3D(1, name="crop")(x))
    x = layers.Conv3D(5, 2, activation="elu", name="after")(layers.AveragePooling3D(2, name="mean3")(x))
    x = layers.GlobalAveragePooling3D(name="mean")(layers.AdaptiveMaxPooling3D(2, name="adapted")(x))
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(x), name="three_dimensions")


@hazard(stem=4, after=5)
def prelu(image):
    x = keras.layers.PReLU(shared_axes=[1, 2], name="shared")(conv(image, 4, "stem", activation=None))
    x = keras.layers.PReLU(shared_axes=[1, 2, 3], name="one")(keras.layers.PReLU(name="each")(x))
    return conv(x, 5, "after")


@hazard(stem=6, after=5)
def layer_normalization(image):
    x = keras.layers.LayerNormalization(epsilon=1e-3, name="norm")(conv(image, 6, "stem"))
    return conv(x, 5, "after")


@hazard(stem=3, each=4, after=5)
def group_normalization(image):
    x = keras.layers.GroupNormalization(2, name="norm")(conv(image, 6, "stem"))
    x = keras.layers.GroupNormalization(-1, name="norm_each")(conv(x, 4, "each"))
    return conv(x, 5, "after")


@hazard(stem=6, wide=8, after=5)
def layer_scale(image):
    from keras.src.applications.convnext import LayerScale  # the class has no public name

    x = conv(image, 6, "stem")
    y = keras.layers.Dense(6, name="narrow")(keras.layers.Dense(8, "gelu", name="wide")(x))
    return conv(x + LayerScale(0.1, 6, name="scale")(y), 5, "after")


@hazard(stem=4, dense=5)
def flatten_after_permute(image):
    x = keras.layers.MaxPooling2D(2, name="small")(conv(image, 4, "stem"))
    x = keras.layers.Permute((3, 1, 2), name="channels_first")(x)
    x = keras.layers.Dense(5, "elu", name="dense")(keras.layers.Flatten(name="flatten")(x))
    return keras.Model(image, keras.layers.Dense(CLASSES, name="logits")(x), name="flatten_after_permute")


@hazard(seed=5, after=6)
def reshape_to_a_map(image):
    x = keras.layers.Dense(80, "elu", name="seed")(keras.layers.Flatten(name="flatten")(image))
    return conv(keras.layers.Reshape((4, 4, 5), name="map")(x), 6, "after")


@hazard(stem=6, after=5)
def reshape_to_a_row(image):
    x = keras.layers.Reshape((64, 6), name="row")(conv(image, 6, "stem"))
    x = keras.layers.Reshape((8, 8, -1), name="back")(keras.layers.LayerNormalization(name="norm")(x))
    return conv(x, 5, "after")


@hazard(stem=8, reduce=3, after=5)
def squeeze_and_excite(image):
    x = conv(image, 8, "stem")
    s = keras.layers.GlobalAveragePooling2D(keepdims=True, name="mean")(x)
    s = conv(conv(s, 3, "reduce", 1), 8, "expand", 1, activation="sigmoid")
    return conv(x * s, 5, "after")


@hazard(stem=6, block_conv=4, outer=5, conv=6)
def nested_models(image):
    def inner(channels, name):
        inside = keras.Input((8, 8, channels))
        x = keras.layers.BatchNormalization(name="bn")(conv(inside, 4, f"{name}_conv"))
        return keras.Model(inside, conv(x, 6, "conv"), name=name)

    stack = keras.Sequential([keras.layers.Conv2D(5, 3, padding="same", name="outer"), keras.layers.ELU()], name="seq")
    x = inner(6, "block")(conv(image, 6, "stem"), training=False)
    return stack(x)


@hazard(**{"stem": 4, "twice_conv": 5, "last": 4, "after": 5})
def a_nested_model_used_twice(image):
    inside = keras.Input((8, 8, 4))
    x = keras.layers.BatchNormalization(name="bn")(conv(inside, 5, "twice_conv"))
    twice = keras.Model(inside, conv(x, 4, "last"), name="twice")
    x = conv(image, 4, "stem")
    return conv(keras.layers.Concatenate(name="join")([twice(x), twice(keras.ops.square(x))]), 5, "after")


@hazard(inside=6, stem=4, after=5)
def a_nested_model_for_any_size(image):
    any_size = keras.Input((None, None, 3), name="any_size")
    x = keras.layers.ZeroPadding2D(((0, 1), (0, 1)), name="pad")(conv(any_size, 6, "inside"))
    x = conv(x + np.ones((1, 1, 1, 6), "float32"), 4, "stem", strides=2, padding="valid")
    x = keras.ops.reshape(keras.layers.AveragePooling2D(2, name="half")(x)[:, ::-1], (-1, 4, 4))
    x = keras.Model(any_size, keras.layers.BatchNormalization(name="bn")(x), name="body")(image)
    return conv(keras.layers.Reshape((2, 2, -1), name="map")(x), 5, "after")


@hazard(stem=4, after=5)
def a_layer_used_twice(image):
    shared = keras.layers.Conv2D(4, 3, padding="same", activation="elu", name="shared")
    norm = keras.layers.BatchNormalization(name="bn")
    x = norm(shared(norm(shared(conv(image, 4, "stem")))))
    return conv(x, 5, "after")


@hazard(a=4, b=5, joined=6, box=3)
def several_inputs_and_outputs(image):
    other = keras.Input((8, 8, 2), name="other")
    x = keras.layers.Concatenate(name="join")([conv(image, 4, "a"), conv(other, 5, "b")])
    x = conv(x, 6, "joined")
    boxes = conv(conv(x, 3, "box"), 4, "boxes", activation=None)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    classes = keras.layers.Dense(CLASSES, name="classes")(pooled)
    inputs, outputs = {"image": image, "other": other}, {"boxes": boxes, "classes": classes}
    return keras.Model(inputs, outputs, name="several_inputs_and_outputs")


@hazard(down=4, middle=6, up=5, out=5)
def unet(image):
    down = conv(image, 4, "down")
    middle = conv(keras.layers.MaxPooling2D(2, name="half")(down), 6, "middle")
    up = keras.layers.Conv2DTranspose(5, 2, strides=2, activation="elu", name="up")(middle)
    x = conv(keras.layers.Concatenate(name="skip")([down, up]), 5, "out")
    return keras.Model(image, conv(x, CLASSES, "labels", 1, activation=None), name="unet")


@hazard(down=4, deep=6, coarse=4, fine=4)
def fcn(image):
    down = conv(image, 4, "down", strides=2)
    deep = conv(down, 6, "deep", strides=2)
    coarse, fine = conv(deep, CLASSES, "coarse", 1), conv(down, CLASSES, "fine", 1)
    up = {"strides": 2, "padding": "same"}
    x = keras.layers.Add(name="skip")([fine, keras.layers.Conv2DTranspose(CLASSES, 4, **up, name="twice")(coarse)])
    return keras.Model(image, keras.layers.Conv2DTranspose(CLASSES, 4, **up, name="labels")(x), name="fcn")


@hazard(stem=4, coarse=6, head=5)
def detection_heads(image):
    stem = conv(image, 4, "stem")
    half = keras.layers.MaxPooling2D(2, name="half")(stem)
    head = keras.layers.Conv2D(5, 3, padding="same", activation="elu", name="head")
    boxes, scores = (keras.layers.Conv2D(2 * size, 1, name=name) for size, name in ((4, "boxes"), (CLASSES, "scores")))
    found = []
    for features in (conv(stem, 6, "fine"), conv(half, 6, "coarse")):  # the same heads read both, with two anchors each
        x = head(features)
        parts = [keras.layers.Reshape((-1, 4))(boxes(x)), keras.layers.Reshape((-1, CLASSES))(scores(x))]
        found.append(keras.layers.Concatenate()([parts[0], keras.layers.Softmax()(parts[1])]))
    return keras.Model(image, keras.layers.Concatenate(axis=1, name="anchors")(found), name="detection_heads")


@hazard(stem=4, after=5)
def scalars_and_constants(image):
    x = conv(image, 4, "stem")
    x = (x * 2.0 - 1) / 3.0 + np.array([0.1, 0.2, 0.3, 0.4], "float32")
    x = x * np.linspace(0.5, 1, 4, dtype="float32").reshape(1, 1, 1, 4)
    x = x + np.linspace(0, 1, 64, dtype="float32").reshape(1, 8, 8, 1)
    return conv(1.0 - x * np.float32(0.5), 5, "after")


@hazard(stem=4, after=5)
def broadcasting(image):
    x = conv(image, 4, "stem")
    gate = conv(x, 1, "gate", activation="sigmoid")
    mean = keras.ops.mean(x, axis=[1, 2], keepdims=True)
    return conv(x * gate + mean, 5, "after")


@hazard(stem=4, after=5)
def batches(image):
    x = conv(image, 4, "stem")
    first, second = keras.ops.split(keras.ops.concatenate([x, keras.ops.square(x)], axis=0), 2, axis=0)
    first, _ = keras.ops.split(keras.ops.repeat(first, 2, axis=0), 2, axis=0)
    return conv(first + second, 5, "after")


@hazard(stem=4, after=6)
def operations(image):
    x = keras.ops.relu(conv(image, 4, "stem", activation=None))
    x = keras.ops.clip(keras.ops.silu(x), -1.0, 2.0)
    x = keras.ops.concatenate([x, keras.ops.square(x)], axis=-1)
    x = keras.ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 2]])
    x = conv(keras.ops.where(x > 0.1, x, x * 0.1), 6, "after")
    return keras.ops.expand_dims(keras.ops.squeeze(keras.ops.max(x, axis=1, keepdims=True), 1), 1)


@hazard(stem=4, other=5, after=5)
def channel_mean(image):
    x = conv(image, 4, "stem")
    spatial = keras.ops.mean(conv(x, 3, "read_whole"), axis=-1, keepdims=True)
    return conv(conv(x * spatial, 5, "other"), 5, "after")


@hazard(stem=6, block=6, after=5)
def attention_layer(image):
    x = keras.layers.Reshape((64, 6), name="row")(conv(image, 6, "stem"))
    y = keras.layers.MultiHeadAttention(2, 3, name="block")(x, x)
    y = keras.layers.Concatenate(name="join")([keras.layers.LayerNormalization(name="norm")(y), x])
    return conv(keras.layers.Reshape((8, 8, 12), name="map")(y), 5, "after")


@hazard(stem=6, other=4, k=5, block=6, after=5)
def cross_attention(image):
    x = keras.layers.Reshape((64, 6), name="row")(conv(image, 6, "stem"))
    other = keras.layers.Reshape((16, 4), name="short_row")(conv(image, 4, "other", strides=2))
    block, mask = keras.layers.MultiHeadAttention(2, 3, value_dim=4, name="block"), keras.layers.Dense(16, name="mask")
    y = block(x, key=keras.layers.Dense(5, name="k")(other), value=other, attention_mask=mask(x) > -1)
    return conv(keras.layers.Reshape((8, 8, 6), name="map")(y), 5, "after")


@hazard(stem=6, after=5)
def grouped_attention(image):
    x = keras.layers.Reshape((64, 6), name="row")(conv(image, 6, "stem"))
    y = keras.layers.GroupQueryAttention(3, 4, 2, name="block")(x, x)
    y = keras.layers.Concatenate(name="join")([keras.layers.LayerNormalization(name="norm")(y), x])
    return conv(keras.layers.Reshape((8, 8, 12), name="map")(y), 5, "after")


@hazard(stem=6, after=5)
def attention_by_hand(image):
    x = keras.layers.Reshape((64, 6), name="row")(conv(image, 6, "stem"))
    q, k, v = (keras.layers.Dense(4, name=name)(x) for name in "qkv")
    scores = keras.ops.softmax(keras.ops.matmul(q, keras.ops.transpose(k, (0, 2, 1))) / 2.0)
    x = x + keras.layers.Dense(6, name="project")(keras.ops.matmul(scores, v))
    return conv(keras.layers.Reshape((8, 8, 6), name="map")(x), 5, "after")


@hazard(stem=4, after=5)
def spatial_attention(image):
    x = conv(image, 4, "stem")
    rows = keras.layers.Permute((3, 1, 2), name="turn")(x)
    rows = keras.layers.Permute((2, 3, 1), name="back")(keras.ops.sigmoid(rows))
    return conv(x * rows, 5, "after")


def plain(x):
    """An activation of one's own that Keras does not know by name."""
    return keras.ops.relu(x) + 0.1 * x


def shares(x):
    """An activation of one's own that mixes the channels."""
    return 2 * keras.ops.softmax(x)


@hazard(stem=6, lambdas=4, layers=3, after=5)
def activations_of_ones_own(image):
    x = conv(image, 6, "stem", activation=plain)
    x = keras.layers.Activation(plain, name="beside")(conv(x, 4, "lambdas", activation=lambda t: t * 0.5 + 0.1))
    x = conv(x, 3, "layers", activation=keras.layers.LeakyReLU(0.2))
    return conv(keras.layers.DepthwiseConv2D(3, activation=plain, name="depthwise")(x), 5, "after")


@hazard(after=5)
def activations_that_mix_channels(image):
    x = conv(image, 6, "layer", activation=keras.layers.Softmax())
    x = conv(x, 4, "function", activation=shares)
    x = keras.layers.Activation(shares, name="beside")(conv(x, 3, "before", activation=None))
    return conv(keras.layers.SeparableConv2D(6, 3, activation=shares, name="separable")(x), 5, "after")


@hazard(stem=6, middle=4, after=5)
def activations_along_other_axes(image):
    x = keras.layers.Permute((3, 1, 2), name="turn")(conv(image, 6, "stem"))
    x = keras.layers.Activation("softmax", name="over_a_row")(x)
    x = keras.layers.Permute((2, 3, 1), name="back")(x)
    x = conv(x * 8.0, 4, "middle", activation=keras.layers.Softmax(axis=1))
    return conv(keras.ops.square(x * 8.0), 5, "after")


@hazard(one=6, two=6, beside=4, after=5)
def channels_first_arithmetic(image):
    def turned(x):
        return keras.layers.Permute((3, 1, 2))(x)

    x = turned(conv(image, 6, "one")) + 1.0
    x = keras.layers.Permute((2, 3, 1), name="back")(x * 2.0)
    x = keras.ops.transpose(keras.ops.transpose(conv(x, 6, "two"), (0, 3, 1, 2)) * 0.5 + 1, (0, 2, 3, 1))
    y = keras.layers.Add(name="sum")([turned(conv(x, 4, "three")), turned(conv(x, 4, "beside"))])
    return conv(keras.layers.Permute((2, 3, 1), name="return")(y), 5, "after")


@hazard(one=6, two=4, after=5)
def stacked_on_a_new_last_axis(image):
    x = conv(image, 6, "one")
    x = keras.ops.sum(keras.ops.stack([x, conv(image, 6, "beside")], axis=-1), axis=-1)
    y = keras.ops.stack([conv(x, 4, "two"), conv(x, 4, "other")], axis=-1)
    return conv(keras.ops.max(y, axis=-1), 5, "after")


@hazard(stem=3, other=5, after=6)
def depth_and_space(image):
    x = keras.ops.nn.depth_to_space(conv(image, 12, "stem"), 2)
    x = keras.ops.nn.space_to_depth(conv(x, 5, "other"), 4)
    return conv(x, 6, "after")


@hazard(stem=4, other=5, after=6)
def copies_and_turns(image):
    x = keras.ops.tile(conv(image, 4, "stem"), (1, 1, 2, 3))
    x = keras.ops.roll(keras.ops.flip(x, axis=(2, 3)), 3, axis=2)
    x = keras.ops.roll(conv(keras.ops.roll(conv(x, 3, "rolled"), 1, axis=-1), 5, "other"), (1, 2), axis=(1, 2))
    return conv(x, 6, "after")


@hazard(stem=6, after=5)
def masks(image):
    x = conv(image, 6, "stem")
    some = keras.ops.logical_and(keras.ops.not_equal(x, 0.0), keras.ops.logical_not(keras.ops.equal(x, 1.0)))
    x = keras.ops.where(some, keras.ops.tanh_shrink(x), keras.ops.zeros_like(x))
    x = keras.ops.concatenate([keras.ops.mod(x, 1.0), keras.ops.ones_like(x)], axis=-1)
    x = keras.ops.concatenate([x, keras.ops.normalize(conv(x, 3, "norm"), axis=-1)], axis=-1)
    return conv(x, 5, "after")


@hazard(stem=6, after=5)
def unstacked(image):
    rows = keras.ops.unstack(conv(image, 6, "stem"), axis=1)
    x = keras.ops.stack([rows[0], rows[3] * rows[5]], axis=1)
    first, second, *_ = keras.ops.unstack(conv(x, 4, "picked"), axis=-1)
    return conv(x * keras.ops.expand_dims(first + second, -1), 5, "after")
