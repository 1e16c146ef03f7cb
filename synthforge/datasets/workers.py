"""How processes that decode and crop share a machine."""

import ctypes
import logging

import cv2
import torch

log = logging.getLogger(__name__)


def one_thread() -> None:
    """For a loader's worker: the other cores have workers of their own."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks: otherwise each activation, or decoded image, is handed back to the kernel
    and faulted in anew, which costs about a tenth of a training step on a CPU. Elsewhere it does nothing."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        mmap_threshold, trim_threshold = -3, -1  # malloc.h
        libc.mallopt(mmap_threshold, 32 << 20)
        libc.mallopt(trim_threshold, 2**31 - 1)
    except (OSError, AttributeError):
        log.debug("no glibc: memory settings left alone")
