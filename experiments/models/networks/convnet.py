"""The airbench-family convnet (KellerJordan/cifar10-airbench): a whitening stem, three blocks of two 3x3 convolutions.

Images of 8 to 64 pixels: the stem's stride and the number of poolings follow from the size.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor, nn

from ...errors import ConfigError

WIDTHS = (64, 256, 256)  # of the published network, at width=1
STEM = 2  # pixels of a whitening patch
GROUPS = 8  # of group norm; every width is a multiple

Norm = Literal["batch", "group"]


class Block(nn.Module):
    """Convolution, pooling, convolution; each followed by a norm and GELU."""

    def __init__(self, channels_in: int, channels_out: int, *, pool: bool, norm: Norm) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        self.first_norm = _normalised(channels_out, norm)
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.second_norm = _normalised(channels_out, norm)
        self.activation = nn.GELU()

    def forward(self, images: Tensor) -> Tensor:
        images = self.activation(self.first_norm(self.pool(self.first(images))))
        activated: Tensor = self.activation(self.second_norm(self.second(images)))
        return activated


class GroupNorm(nn.GroupNorm):
    """Of contiguous memory: under forward mode torch 2.11 breaks on another layout (channels last)."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.contiguous())


def _normalised(channels: int, norm: Norm) -> nn.Module:
    return nn.BatchNorm2d(channels) if norm == "batch" else GroupNorm(GROUPS, channels)


class Convnet(nn.Module):
    """(B, C, H, W) normalised images to (B, classes) logits."""

    def __init__(self, channels: int, pixels: int, classes: int, *, width: float, stride: int, norm: Norm) -> None:
        super().__init__()
        widths = [max(8, round(w * width / 8) * 8) for w in WIDTHS]
        stem = 2 * channels * STEM**2
        self.whitening = nn.Conv2d(channels, stem, STEM, stride=stride)
        self.activation = nn.GELU()
        side = (pixels - STEM) // stride + 1
        blocks = []
        for channels_in, channels_out in zip([stem, *widths], widths, strict=False):
            pool = side >= 4
            blocks.append(Block(channels_in, channels_out, pool=pool, norm=norm))
            side = side // 2 if pool else side
        self.blocks = nn.Sequential(*blocks)
        poolings = sum(isinstance(block.pool, nn.MaxPool2d) for block in blocks)
        self.adapted = f"a stem of stride {stride} and {poolings} poolings for images of {pixels} pixels"
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        images = self.blocks(self.activation(self.whitening(images)))
        logits: Tensor = self.head(self.pool(images).flatten(1))
        return logits


def convnet(
    images: Tensor,
    init: Generator,
    *,
    classes: int,
    width: float,
    stride: int | None,
    whitening: bool,
    norm: Norm = "batch",
) -> Convnet:
    """A network for images like these (N, C, H, W), with its stem set to whiten their 2x2 patches, and then frozen."""
    side = side_of(images)
    model = Convnet(images.shape[1], side, classes, width=width, stride=stride or stem_stride(side), norm=norm)
    initialise(model, init)
    if whitening:
        weight = whitening_filters(images)
        with torch.no_grad():
            model.whitening.weight.copy_(weight)
        model.whitening.weight.requires_grad_(False)
    return model


def side_of(images: Tensor) -> int:
    """The smaller side in pixels; ConfigError outside 8 to 64."""
    height, width = images.shape[2:]
    if not 8 <= min(height, width) <= max(height, width) <= 64:
        raise ConfigError(f"the network takes images of 8 to 64 pixels; these are {height} x {width}", "task.size=32")
    return min(height, width)


def stem_stride(side: int) -> int:
    """2 from 48 pixels on: the blocks then see about as many positions as with 32."""
    return 2 if side >= 48 else 1


def whitening_filters(images: Tensor) -> Tensor:
    """(8 C, C, 2, 2): eigenvectors of the patches' covariance, scaled to unit variance, and their negatives."""
    patches = images.unfold(2, STEM, 1).unfold(3, STEM, 1)  # (N, C, H', W', 2, 2)
    patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, images.shape[1] * STEM**2).double()
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (vectors / torch.sqrt(values + 5e-4)).T.flip(0).reshape(-1, images.shape[1], STEM, STEM)
    return torch.cat([filters, -filters]).float()


def initialise(model: nn.Module, init: Generator) -> None:
    """Draw every weight from `init` alone: He-uniform as PyTorch's layers do it, embeddings and norms as usual."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=init)
            if module.bias is not None:
                bound = 1 / (module.weight[0].numel() ** 0.5)
                nn.init.uniform_(module.bias, -bound, bound, generator=init)
