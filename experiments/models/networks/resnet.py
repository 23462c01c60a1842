"""ResNet-18 for small images: torchvision's, with a 3x3 stem and no first pooling."""

from __future__ import annotations

from torch import Generator, Tensor, nn

from ...errors import DataUnavailable
from .convnet import initialise, side_of, stem_stride


def resnet18(images: Tensor, init: Generator, *, classes: int, width: float) -> nn.Module:
    """A ResNet-18 for images (N, C, H, W) of 8 to 64 pixels; width 1 is the published one."""
    try:
        from torchvision.models.resnet import BasicBlock, ResNet
    except (ImportError, RuntimeError) as error:
        raise DataUnavailable(f"torchvision cannot be imported beside this torch ({error})", "make install") from error
    stride = stem_stride(side_of(images))
    model = ResNet(BasicBlock, [2, 2, 2, 2], num_classes=classes)
    if width != 1:
        _scale(model, width)
    model.conv1 = nn.Conv2d(images.shape[1], model.conv1.out_channels, 3, stride=stride, padding=1, bias=False)
    model.maxpool = nn.Identity()
    initialise(model, init)
    resnet: nn.Module = model
    return resnet


def _scale(model: nn.Module, width: float) -> None:
    """Replace every layer by one with `width` times its channels."""

    def size(channels: int) -> int:
        return max(8, round(channels * width / 8) * 8)

    for name, module in list(model.named_modules()):
        replacement: nn.Module
        if isinstance(module, nn.Conv2d):
            replacement = nn.Conv2d(
                size(module.in_channels),
                size(module.out_channels),
                module.kernel_size,  # type: ignore[arg-type]
                module.stride,  # type: ignore[arg-type]
                module.padding,  # type: ignore[arg-type]
                bias=False,
            )
        elif isinstance(module, nn.BatchNorm2d):
            replacement = nn.BatchNorm2d(size(module.num_features))
        elif isinstance(module, nn.Linear):
            replacement = nn.Linear(size(module.in_features), module.out_features)
        else:
            continue
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, replacement)
