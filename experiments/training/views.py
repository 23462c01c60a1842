"""A random view of each image, as SimCLR learns from (arXiv:2002.05709), cheap at 8 to 64 pixels.

One sampling grid moves and one matrix colours. Three channels are taken for photographs: cropped, and recoloured. One
channel is taken for drawn shapes such as digits, which a crop would make another digit of: turned, moved and scaled a
little. Both are lit otherwise, without which an encoder of digits learns how much ink there is and little else. No view
mirrors: that is the recipe's `flip`, for where a mirrored image is of the same class.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

AREA, ASPECT = 0.2, 4 / 3  # smallest share of a photograph that a crop shows (SimCLR: 0.08); longest side to shortest
TURN, SHIFT, SCALE = 15.0, 1 / 16, 0.15  # degrees, and shares of the side, that a grey image is changed by at most
LIGHT, HUE = 0.4, 0.1  # brightness, contrast and saturation change by up to this factor, the hue by this part of a turn
CHANGED, GREYED = 0.8, 0.2  # share of the images whose light, or colours, are changed; of photographs without colour
YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))  # from red, green and blue


def view(images: Tensor, draw: Generator) -> Tensor:
    """A view (B, C, H, W) float32 of each image, both in 0..255. `draw` is on the CPU: the same on every device."""
    images = images.float()
    if images.shape[1] == 3:
        images = recoloured(sampled(images, crops(len(images), draw)), draw)
    else:
        images = sampled(images, turns(len(images), draw))
    return lit(images, draw)


def described(channels: int) -> str:
    """What `view` does with images of so many channels, to be said."""
    if channels == 3:
        return f"views: crops of {AREA:.0%} of the area or more, other light and colours"
    return f"views: turned by up to {TURN:g} degrees, moved by up to {SHIFT:.1%} of the side, scaled, other light"


def sampled(images: Tensor, maps: Tensor) -> Tensor:
    """The images (B, C, H, W) seen through affine maps (B, 2, 3) from view to image, sides -1 to 1."""
    grid = functional.affine_grid(maps.to(images.device), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def crops(number: int, draw: Generator) -> Tensor:
    """(B, 2, 3) windows inside the image: area uniform in AREA..1, aspect log-uniform in 1/ASPECT..ASPECT."""
    area, aspect, right, down = torch.rand(4, number, generator=draw)
    area, stretch = AREA + (1 - AREA) * area, ASPECT ** (aspect - 0.5)  # of the width; the aspect is its square
    width, height = (area.sqrt() * stretch).clamp(max=1), (area.sqrt() / stretch).clamp(max=1)
    zero = torch.zeros(number)
    across = torch.stack([width, zero, (2 * right - 1) * (1 - width)], 1)
    along = torch.stack([zero, height, (2 * down - 1) * (1 - height)], 1)
    return torch.stack([across, along], 1)


def turns(number: int, draw: Generator) -> Tensor:
    """(B, 2, 3) rotations by up to TURN degrees, scaled by up to SCALE, moved by up to SHIFT of the side (2 long)."""
    turn, scale, right, down = 2 * torch.rand(4, number, generator=draw) - 1
    angle, scale = turn * math.radians(TURN), 1 + SCALE * scale
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    across = torch.stack([cosine, -sine, 2 * SHIFT * right], 1)
    along = torch.stack([sine, cosine, 2 * SHIFT * down], 1)
    return torch.stack([across, along], 1)


def recoloured(images: Tensor, draw: Generator) -> Tensor:
    """Photographs (B, 3, H, W) of another saturation and hue; some without colour."""
    saturation, hue, coloured, grey = torch.rand(4, len(images), generator=draw)
    plain = coloured >= CHANGED
    saturation = (1 + LIGHT * (2 * saturation - 1)).masked_fill(plain, 1).masked_fill(grey < GREYED, 0)
    hue = (2 * math.pi * HUE * (2 * hue - 1)).masked_fill(plain, 0)
    mixed: Tensor = torch.einsum("bij,bjhw->bihw", colours(saturation, hue).to(images.device), images)
    return mixed


def lit(images: Tensor, draw: Generator) -> Tensor:
    """Images (B, C, H, W) of another brightness and contrast, cut to 0..255."""
    drawn = torch.rand(3, len(images), 1, 1, 1, generator=draw).to(images.device)
    brightness, contrast = (1 + LIGHT * (2 * drawn[:2] - 1)).masked_fill(drawn[2] >= CHANGED, 1)
    images = images * brightness
    mean = images.mean((1, 2, 3), keepdim=True)
    seen: Tensor = mean + (images - mean) * contrast
    return seen.clamp(0, 255)


def colours(saturation: Tensor, hue: Tensor) -> Tensor:
    """(B, 3, 3) maps of red, green and blue that keep the luminance: chroma (B,) scaled, and turned in radians."""
    cosine, sine = saturation * hue.cos(), saturation * hue.sin()
    chroma = torch.zeros(len(hue), 3, 3)
    chroma[:, 0, 0] = 1
    chroma[:, 1, 1] = chroma[:, 2, 2] = cosine
    chroma[:, 1, 2], chroma[:, 2, 1] = -sine, sine
    into = torch.tensor(YIQ)
    back: Tensor = torch.linalg.inv(into)
    return back @ chroma @ into
