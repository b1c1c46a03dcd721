"""Draws random views of a batch: one affine sampling does crop, shift, turn and mirror, then light and contrast."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from train.network.recipes import Recipe


def to_network(pixels: Tensor) -> Tensor:
    """Return ``(B, side, side, 3)`` uint8 as ``(B, 3, side, side)`` float32 0..255, channels last in memory."""
    return pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last)


def augment(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Return a random view of each of ``images`` ``(B, 3, side, side)`` 0..255; chances are drawn on the CPU."""
    count = len(images)
    grid = functional.affine_grid(_random_views(count, recipe, generator).to(images.device), list(images.shape), False)
    views = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    if recipe.colour:
        light, contrast = 1 + recipe.colour * (2 * torch.rand(2, count, 1, 1, 1, generator=generator) - 1)
        light, contrast = light.to(images.device), contrast.to(images.device)
        middle = views.mean((1, 2, 3), keepdim=True)
        views = ((views - middle) * contrast + middle * light).clamp_(0, 255)
    if recipe.erase:
        _erase_squares(views, recipe.erase, generator)
    return views.contiguous(memory_format=torch.channels_last)


def _random_views(count: int, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Return ``(B, 2, 3)``: where in its image each view looks, in the -1..1 units of ``affine_grid``."""
    area, shape, angle, mirror, across, down = torch.rand(6, count, generator=generator)
    size = (recipe.smallest_crop + (1 - recipe.smallest_crop) * area).sqrt()
    # Width / height is drawn evenly in the logarithm; a crop never exceeds its image.
    stretch = ((2 * shape - 1) * math.log(recipe.stretch) / 2).exp()
    width, height = (size * stretch).clamp(max=1), (size / stretch).clamp(max=1)
    turn = (2 * angle - 1) * math.radians(recipe.rotation)
    sign = torch.where(mirror < 0.5, -1.0, 1.0) if recipe.flip else torch.ones(count)
    left, top = (2 * across - 1) * (1 - width), (2 * down - 1) * (1 - height)
    rows = (sign * width * turn.cos(), -height * turn.sin(), left, sign * width * turn.sin(), height * turn.cos(), top)
    return torch.stack(rows, 1).reshape(count, 2, 3)


def _erase_squares(views: Tensor, share: float, generator: torch.Generator) -> None:
    """Grey out one square in each view, so that no single part of an animal is enough."""
    side = views.shape[-1]
    size = max(1, round(side * share))
    corners = torch.randint(0, side - size + 1, (len(views), 2), generator=generator).tolist()
    for view, (top, left) in zip(views, corners, strict=True):
        view[:, top : top + size, left : left + size] = 128
