"""The standard library's ops that PyTorch lacks, or has under another convention. Names are those of stdlib/*.vsr."""

import functools

import numpy as np
import torch
import torch.nn.functional as F


def frames(x):
    b, c, t, h, w = x.shape
    return x.transpose(1, 2).reshape(b * t, c, h, w)


def unframes(x, t):
    n, c, h, w = x.shape
    return x.reshape(n // t, t, c, h, w).transpose(1, 2)


def luma(x):
    return 0.299 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]


def tap(d, by, wide, a):
    if by == "bicubic":
        r = np.abs(d / wide)
        near = ((a + 2) * r - a - 3) * r * r + 1
        far = a * (((r - 5) * r + 8) * r - 4)
        return np.where(r < 1, near, np.where(r < 2, far, 0))
    if by == "bilinear":
        return np.maximum(1 - np.abs(d) / wide, 0)
    return np.clip(0.5 * wide + 0.5 - np.abs(d), 0, 1)


@functools.cache
def resize_matrix(size, n, by="bilinear", corners=False, antialias=False, a=-0.75, dtype=torch.float32):
    """Not in PyTorch's arithmetic: a peer finds a constant in its graph (OpenVINO folds the terms for minutes)."""
    step = (size - 1) / max(n - 1, 1) if corners else size / n
    wide = max(step, 1.0) if antialias else 1.0
    i, k, out = np.arange(n)[:, None], np.arange(size), np.arange(2)
    u = i * step if corners else (i + 0.5) * step - 0.5
    w = tap(k - u, by, wide, a)
    if not antialias:
        w[:, 0] += tap(-1 - out - u, by, wide, a).sum(1)
        w[:, -1] += tap(size + out - u, by, wide, a).sum(1)
    kind = {torch.float32: np.float32, torch.float64: np.float64}[dtype]
    return torch.from_numpy((w / w.sum(1, keepdims=True)).astype(kind))


def resize(x, h, w, by="bilinear", corners=False, antialias=False, a=-0.75):
    height, width, h, w = (int(n) for n in (*x.shape[-2:], h, w))
    if w != width:
        x = x @ resize_matrix(width, w, by, corners, antialias, a, x.dtype).T
    if h != height:
        x = resize_matrix(height, h, by, corners, antialias, a, x.dtype) @ x
    return x


def warp(x, flow, border=False):
    n, _, h, w = x.shape
    i, j = torch.meshgrid(torch.arange(h, device=x.device), torch.arange(w, device=x.device), indexing="ij")
    u = 2 * (j + flow[:, 0]) / (w - 1) - 1
    v = 2 * (i + flow[:, 1]) / (h - 1) - 1
    mode = "border" if border else "zeros"
    return F.grid_sample(x, torch.stack([u, v], -1), padding_mode=mode, align_corners=True)


def gather_window(x, reach):
    c = x.shape[1]
    g = 1 - (torch.arange(2 * reach + 1, device=x.device) - reach).abs() / (reach + 1.0)
    g = g.to(x).expand(c, 1, -1)
    x = F.conv2d(x, g[:, :, :, None], padding=(reach, 0), groups=c)
    return F.conv2d(x, g[:, :, None, :], padding=(0, reach), groups=c)


def lucas_kanade_level(a, b, f, turns, reach, eps):
    p = F.pad(a, (1, 1, 1, 1), mode="replicate")
    gx = 0.5 * (p[:, :, 1:-1, 2:] - p[:, :, 1:-1, :-2])
    gy = 0.5 * (p[:, :, 2:, 1:-1] - p[:, :, :-2, 1:-1])
    s = gather_window(torch.cat([gx * gx, gx * gy, gy * gy], 1), reach)
    xx, xy, yy = s[:, 0:1] + eps, s[:, 1:2], s[:, 2:3] + eps
    det = xx * yy - xy * xy
    for _ in range(turns):
        d = warp(b, f, border=True) - a
        e = gather_window(torch.cat([gx * d, gy * d], 1), reach)
        ex, ey = e[:, 0:1], e[:, 1:2]
        step = torch.cat([xy * ey - yy * ex, xy * ex - xx * ey], 1) / det
        f = f + step.clamp(-1, 1)
    return f


def enlarge_flow(f, h, w):
    scale = torch.tensor([w / f.shape[3], h / f.shape[2]], dtype=f.dtype, device=f.device)
    return resize(f, h, w) * scale[:, None, None]


@torch.no_grad()
def lucas_kanade(a, b, levels=3, turns=3, reach=4, eps=0.002):
    p, q = [F.avg_pool2d(a, 2)], [F.avg_pool2d(b, 2)]
    for _ in range(levels - 1):
        p.insert(0, F.avg_pool2d(p[0], 2))
        q.insert(0, F.avg_pool2d(q[0], 2))
    f = torch.zeros_like(p[0]).repeat(1, 2, 1, 1)
    for level, (x, y) in enumerate(zip(p, q)):
        if level > 0:
            f = enlarge_flow(f, *x.shape[2:])
        f = lucas_kanade_level(x, y, f, turns, reach, eps)
    return enlarge_flow(f, *a.shape[2:])


def l1(a, b):
    return (a - b).abs().mean()


def psnr(a, b):
    return -10 * ((a.clamp(0, 1) - b) ** 2).mean().clamp(min=1e-10).log10()


def temporal(a, b):
    return l1(a[:, :, 1:] - a[:, :, :-1], b[:, :, 1:] - b[:, :, :-1])


def warp_error(a, b, flow, sharp=50):
    c = frames(b[:, :, :-1]) - warp(frames(b[:, :, 1:]), flow, border=True)
    s = (-sharp * (c**2).mean(1, keepdim=True)).exp()
    e = (frames(a[:, :, :-1]) - warp(frames(a[:, :, 1:]), flow, border=True)).abs()
    return (s * e).mean()


def ssim(a, b):
    g = torch.exp(-((torch.arange(11) - 5.0) ** 2) / 4.5).to(a)
    g = g / g.sum()
    c = a.shape[1]

    def window(x):
        x = F.conv2d(x, g[None, None, :, None].expand(c, 1, -1, -1), groups=c)
        return F.conv2d(x, g[None, None, None, :].expand(c, 1, -1, -1), groups=c)

    ma, mb = window(a), window(b)
    va, vb, ab = window(a * a) - ma * ma, window(b * b) - mb * mb, window(a * b) - ma * mb
    top = (2 * ma * mb + 0.0001) * (2 * ab + 0.0009)
    return (top / ((ma * ma + mb * mb + 0.0001) * (va + vb + 0.0009))).mean()
