"""Group norm with SiLU in one piece on a CPU: group_norm.c, compiled when it is first needed. Where there is no compiler, torch's
own does the same in more time."""

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile

import torch
from torch.nn import functional as F

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "group_norm.c")


class Norm(ctypes.Structure):
    """The norm of group_norm.c."""
    _fields_ = ([(name, ctypes.c_ssize_t) for name in ("n", "groups", "width", "pixels")] +
                [(name, ctypes.c_void_p) for name in ("gain", "bias", "mean", "scale")] +
                [("eps", ctypes.c_float), ("silu", ctypes.c_int), ("bf16", ctypes.c_int)])


def norm_of(x, gain, bias, mean, scale, eps, silu):
    n, channels = x.shape[:2]
    groups = mean.shape[1]
    return ctypes.byref(Norm(n, groups, channels // groups, x.numel() // (n * channels), gain.data_ptr(), bias.data_ptr(),
                             mean.data_ptr(), scale.data_ptr(), eps, silu, x.dtype == torch.bfloat16))


@functools.lru_cache(None)
def library():
    """None where it cannot be compiled. -ffast-math lets sums and exponentials be made by vectors."""
    compiler = shutil.which("cc")
    if not compiler:
        return None
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, "group_norm.so")
        done = subprocess.run([compiler, "-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared", "-fPIC", "-o", made, SOURCE,
                               "-lm"], check=False)
        return ctypes.CDLL(made) if done.returncode == 0 else None


def pointers(*tensors):
    return [ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors]


class GroupNorm(torch.autograd.Function):
    """x: [n, channels, ...] in f32 or bf16; the result is of its type. silu False: the norm alone."""

    @staticmethod
    def forward(ctx, x, gain, bias, groups, eps, silu):
        x = x.contiguous()
        y, mean = torch.empty_like(x), torch.empty(x.shape[0], groups)
        scale = torch.empty_like(mean)
        library().group_norm_forward(norm_of(x, gain, bias, mean, scale, eps, silu), *pointers(x, y))
        ctx.save_for_backward(x, gain, bias, mean, scale)
        ctx.eps, ctx.silu = eps, silu
        return y

    @staticmethod
    def backward(ctx, dy):
        x, gain, bias, mean, scale = ctx.saved_tensors
        dy = dy.to(x.dtype).contiguous()
        dx, dgain = torch.empty_like(x), torch.empty(x.shape[:2])
        dbias = torch.empty_like(dgain)
        library().group_norm_backward(norm_of(x, gain, bias, mean, scale, ctx.eps, ctx.silu), *pointers(x, dy, dx, dgain, dbias))
        return dx, dgain.sum(0), dbias.sum(0), None, None, None


def group_norm(x, groups, gain, bias, eps, silu):
    """In f32 whatever the rest is in; on a CPU the result is of x's type. torch 1.13's kernel for channels-last tensors is wrong
    in bf16 where groups are small: without a compiler x goes through f32, in rows of channels."""
    if x.device.type == "cpu" and library():
        return GroupNorm.apply(x, gain, bias, groups, eps, silu)
    with torch.autocast(x.device.type, enabled=False):
        y = F.group_norm(x.float().contiguous(), groups, gain, bias, eps)
        return F.silu(y) if silu else y
