"""What precision=auto means on this machine, for the name of a device: known without torch, as plans need it."""

from __future__ import annotations

import ctypes
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import Literal

from .errors import DataUnavailable

Precision = Literal["float32", "bfloat16"]
PROCESSOR = Path("/proc/cpuinfo")
GPU_OF_AMD = Path("/dev/kfd")


@lru_cache(maxsize=16)
def resolved(name: str, device: str) -> Precision:
    """The precision of a run that asks for `name` on `device`. Torch is asked only where there may be a GPU."""
    if name != "auto":
        return "float32" if name == "float32" else "bfloat16"
    if device == "auto" and not may_have_gpu():
        device = "cpu"
    if device == "cpu":
        return "bfloat16" if fast_processor() else "float32"
    from .devices import fast_bfloat16, resolve_device

    try:
        return "bfloat16" if fast_bfloat16(resolve_device(device)[0]) else "float32"
    except DataUnavailable as error:
        mend = f"{error.mend}; or recipe.precision=bfloat16, where the run is for another machine"
        raise DataUnavailable(f"{error.what} (recipe.precision=auto depends on it)", mend) from None


def fast_processor() -> bool:
    """Whether the processor multiplies bfloat16 faster than float32: it has AMX or AVX512-BF16."""
    return PROCESSOR.exists() and re.search(r"\b(amx_tile|avx512_bf16)\b", PROCESSOR.read_text()) is not None


def may_have_gpu() -> bool:
    """Whether a driver is there that torch could find a GPU with."""
    if sys.platform != "linux":
        return sys.platform != "darwin"  # where device=auto is the CPU
    if GPU_OF_AMD.exists():
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
