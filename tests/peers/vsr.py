"""A PyTorch twin of models/vsr.vsr: the same equations, the same keys, one weights file for both."""

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import deform_conv2d

import ops


def uniform(module, gain):
    """PyTorch's own start, times `gain`; biases never wider than ±1/√n, as in stdlib/layers.vsr."""
    r = (module.weight[0].numel()) ** -0.5
    nn.init.uniform_(module.weight, -gain * r, gain * r)
    if module.bias is not None:
        nn.init.uniform_(module.bias, -min(gain, 1) * r, min(gain, 1) * r)
    return module


def conv2d(c, out, k=3, stride=1, bias=True, gain=1.0):
    return uniform(nn.Conv2d(c, out, k, stride, k // 2, bias=bias), gain)


def conv3d(c, out, k=3, stride=1, gain=1.0):
    return uniform(nn.Conv3d(c, out, k, (1, stride, stride), k // 2), gain)


class ConvBlock(nn.Module):
    def __init__(self, c, out, stride=1):
        super().__init__()
        self.conv = conv3d(c, out, stride=stride, gain=2)

    def forward(self, x):
        return F.silu(self.conv(x))


class DeformAlign(nn.Module):
    def __init__(self, c, mid, groups, deform):
        super().__init__()
        self.groups, self.deform = groups, deform
        out = mid if deform else c
        self.offset = nn.ModuleDict({"frame": conv2d(c, out), "centre": conv2d(c, out, bias=False)})
        if deform:
            self.offset["out"] = conv2d(mid, 27 * groups, gain=0)
            r = 2 * (9 * c) ** -0.5
            self.weight = nn.Parameter(torch.empty(c, c, 3, 3).uniform_(-r, r))

    def forward(self, x):
        t = x.shape[2]
        f = ops.frames(x)
        h = self.offset["frame"](f) + self.offset["centre"](x[:, :, t // 2]).repeat_interleave(t, 0)
        if self.deform:
            o, m = self.offset["out"](F.leaky_relu(h, 0.1)).split([18 * self.groups, 9 * self.groups], 1)
            h = deform_conv2d(f, 2 * (0.05 * o).tanh(), self.weight, padding=1, mask=m.sigmoid())
        return ops.unframes(h, t)


class TemporalFusion(nn.Module):
    def __init__(self, c, attention):
        super().__init__()
        self.aggregate = conv3d(c, c, gain=2)
        if attention:
            self.score = conv3d(c, 1, k=1)

    def forward(self, f):
        f = F.silu(self.aggregate(f))
        if hasattr(self, "score"):
            return (self.score(f).softmax(2) * f).sum(2)
        return f.mean(2)


class Linformer(nn.Module):
    def __init__(self, c, heads, rank, grid=16):
        super().__init__()
        self.heads = heads
        a = rank**-0.5
        self.proj_k = nn.Parameter(torch.empty(rank, grid, grid).uniform_(-a, a))
        self.proj_v = nn.Parameter(torch.empty(rank, grid, grid).uniform_(-a, a))
        self.norm1, self.norm2 = nn.LayerNorm(c), nn.LayerNorm(c)
        for name in ("to_q", "to_k", "to_v"):
            setattr(self, name, uniform(nn.Linear(c, c, bias=False), 1))
        self.to_out = uniform(nn.Linear(c, c), 1)
        self.w1, self.w2 = uniform(nn.Linear(c, 4 * c), 1), uniform(nn.Linear(4 * c, c), 1)

    def forward(self, x):
        b, c, h, w = x.shape

        def grid(p):
            return p.shape[-1] ** 2 / (h * w) * ops.resize(p, h, w).flatten(1)

        def split(y):
            return y.unflatten(2, (self.heads, -1)).transpose(1, 2)

        s = x.flatten(2).transpose(1, 2)
        n = self.norm1(s)
        k = grid(self.proj_k) @ split(self.to_k(n))
        v = grid(self.proj_v) @ split(self.to_v(n))
        y = F.scaled_dot_product_attention(split(self.to_q(n)), k, v)
        s = s + self.to_out(y.transpose(1, 2).flatten(2))
        s = s + self.w2(F.gelu(self.w1(self.norm2(s))))
        return s.transpose(1, 2).reshape(b, c, h, w)


class Up(nn.Module):
    def __init__(self, c, out):
        super().__init__()
        self.expand = conv2d(c, 4 * out, gain=2)

    def forward(self, x):
        return F.pixel_shuffle(F.silu(self.expand(x)), 2)


class Decode(nn.Module):
    def __init__(self, c, skip, out):
        super().__init__()
        self.up, self.fuse = Up(c, out), conv2d(out + skip, out, gain=2)

    def forward(self, x, skip):
        return F.silu(self.fuse(torch.cat([self.up(x), skip], 1)))


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1, self.conv2 = conv2d(c, c, gain=2), conv2d(c, c, gain=0.5)

    def forward(self, x):
        return x + self.conv2(F.silu(self.conv1(x)))


class Refine(nn.Module):
    """Without the diffusion networks only the clip is left, and these weights take no part."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(()))
        self.timestep = nn.Module()
        self.timestep.conv1, self.timestep.conv2 = conv2d(3, 16), conv2d(16, 32)
        self.timestep.out = uniform(nn.Linear(32, 1), 1)


class Vsr(nn.Module):
    def __init__(self, ch=64, scale=4, blocks=2, depth=1, heads=4, rank=64, groups=8,
                 attention=True, deform=True, refine=True):
        super().__init__()
        self.scale = scale
        self.encoder = nn.ModuleList([ConvBlock(3, ch), ConvBlock(ch, 2 * ch, 2), ConvBlock(2 * ch, 4 * ch, 2)])
        self.align = DeformAlign(4 * ch, ch, groups, deform)
        self.fusion = TemporalFusion(4 * ch, attention)
        self.bottleneck = nn.ModuleList(Linformer(4 * ch, heads, rank) for _ in range(depth))
        self.decoder = nn.ModuleList([Decode(4 * ch, 2 * ch, 2 * ch), Decode(2 * ch, ch, ch)])
        self.body = nn.ModuleList(Residual(ch) for _ in range(blocks))
        self.tail, c = nn.ModuleList(), ch
        for i in range(scale.bit_length() - 1):
            out = max(ch // 2 ** (i + 1), 8)
            self.tail.append(Up(c, out))
            c = out
        self.out = conv2d(c, 3, gain=0)
        if refine:
            self.refine = Refine()

    def forward(self, x):
        mid = x.shape[2] // 2
        f1 = self.encoder[0](x)
        f2 = self.encoder[1](f1)
        g = self.fusion(self.align(self.encoder[2](f2)))
        for layer in self.bottleneck:
            g = layer(g)
        g = self.decoder[0](g, f2[:, :, mid])
        g = self.decoder[1](g, f1[:, :, mid])
        for layer in self.body:
            g = layer(g)
        for layer in self.tail:
            g = layer(g)
        h, w = x.shape[-2:]
        y = ops.resize(x[:, :, mid], self.scale * h, self.scale * w, "bicubic", a=-0.5) + self.out(g)
        return y.clamp(0, 1)


def losses(model, high):
    """The train item with strength=0 and no frozen networks: its loss and metrics, by name."""
    b, _, frames, h, w = high.shape
    t, s = frames - 1, model.scale
    low = ops.resize(high, h // s, w // s, "bicubic", antialias=True, a=-0.5)
    both = torch.cat([low[:, :, :-1], low[:, :, 1:]], 0)
    sr = torch.stack(model(both).split([b, b], 0), 2)
    hr = high[:, :, t // 2 : t // 2 + 2]
    flow = ops.lucas_kanade(ops.luma(ops.frames(hr[:, :, :-1])), ops.luma(ops.frames(hr[:, :, 1:])))
    pixel, steady, motion = ops.l1(sr, hr), ops.temporal(sr, hr), ops.warp_error(sr, hr, flow)
    loss = pixel + 0.1 * steady + 0.1 * motion
    return {"loss": loss, "pixel": pixel, "steady": steady, "motion": motion, "psnr": ops.psnr(sr, hr)}
