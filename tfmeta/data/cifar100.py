"""CIFAR-100: 50,000 + 10,000 colour photographs, 32x32, 100 (fine) classes."""

from __future__ import annotations

from tfmeta.data.cifar import CifarFiles, load_cifar
from tfmeta.data.options import DataOptions
from tfmeta.data.splits import Splits

FILES = CifarFiles(
    name="cifar100",
    archive="cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    folder="cifar-100-binary",
    train=("train.bin",),
    test="test.bin",
    label_bytes=2,
)
# The fine labels in the order of fine_label_names.txt, which is the alphabet's.
_NAMES = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch
    crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house
    kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
    mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
    plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark
    shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table
    tank telephone television tiger tractor train trout tulip turtle wardrobe whale
    willow_tree wolf woman worm
"""
CLASSES = tuple(_NAMES.split())


def load(options: DataOptions) -> Splits:
    """Returns CIFAR-100, see :func:`tfmeta.data.cifar.load_cifar`."""
    return load_cifar(FILES, CLASSES, options)
