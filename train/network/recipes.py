"""The recipes: every hyper-parameter of a training, by name."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from curate.storage.files import Problem


@dataclass(frozen=True)
class Recipe:
    """All hyper-parameters of one training; recorded with each model, and part of what makes it the same model.

    Lengths are pixels, learning rates are the peaks of a one-cycle schedule, shares are 0..1.
    """

    name: str
    network: str  # resnet | lite0
    side: int  # of the square that the network sees, a multiple of 32
    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    channels: tuple[int, ...] = ()  # of the stages of the resnet
    optimizer: str = "sgd"  # sgd (Nesterov momentum 0.9) | adamw
    warmup: float = 0.2  # share of the steps in which the learning rate rises
    label_smoothing: float = 0.1
    balance: float = 0.5  # loss weight of a class ~ (1 / its samples) ** balance: 0 ignores rarity, 1 evens it out
    patience: int = 0  # epochs without a better val loss before stopping; 0: never
    flip: bool = True
    smallest_crop: float = 0.5  # area of the smallest random crop / area of the image
    stretch: float = 4 / 3  # most that a crop is squeezed in width or height
    rotation: float = 0.0  # degrees to either side
    colour: float = 0.2  # brightness and contrast are multiplied by 1 +- this
    erase: float = 0.0  # side of the square that is greyed out in each image / side of the image
    dropout: float = 0.0
    frozen_blocks: int = 0  # first blocks of lite0 that keep their ImageNet weights
    head_steps: int = 0  # steps for the last layer alone, on features computed once, before the rest is trained


RECIPES = {
    "small": Recipe(
        name="small",
        network="resnet",
        side=96,
        epochs=36,
        batch=64,
        learning_rate=2e-3,
        weight_decay=0.05,
        channels=(32, 64, 128, 256),
        optimizer="adamw",
        patience=12,
        smallest_crop=0.5,
        rotation=10,
    ),
    "lite0": Recipe(
        name="lite0",
        network="lite0",
        side=160,
        epochs=2,
        batch=32,
        learning_rate=5e-5,
        weight_decay=1e-2,
        optimizer="adamw",
        patience=1,
        label_smoothing=0.05,
        smallest_crop=0.7,
        dropout=0.2,
        frozen_blocks=11,  # the last five see 5 x 5 pixels: training them costs little more than running them
        head_steps=300,
    ),
    # Seconds, to try the whole chain on: it tells coarse differences apart, and no cats from dogs.
    "smoke": Recipe(
        name="smoke",
        network="resnet",
        side=32,
        epochs=4,
        batch=32,
        learning_rate=2e-3,
        weight_decay=0.05,
        channels=(16, 32),
        optimizer="adamw",
    ),
}


def read_recipe(name: str) -> Recipe:
    """Return the recipe called ``name``.

    Raises
    ------
    Problem
        When there is none of that name.

    >>> read_recipe("small").network
    'resnet'
    """
    if name not in RECIPES:
        raise Problem(f"Expected one of the recipes {', '.join(RECIPES)}, but found {name!r}. Name one of them.")
    return RECIPES[name]


def recipe_values(recipe: Recipe) -> dict[str, Any]:
    """Return the hyper-parameters as JSON has them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(recipe).items()}


def recipe_from(values: dict[str, Any]) -> Recipe:
    """Return the recipe that ``recipe_values`` wrote down.

    >>> recipe_from(recipe_values(RECIPES["small"])) == RECIPES["small"]
    True
    """
    known: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return Recipe(**known)
