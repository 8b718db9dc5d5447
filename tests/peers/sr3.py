"""A PyTorch twin of models/sr3.vsr, by the public implementation's description. Keys are those of its `denoise_fn`."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class Wave(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.n = n

    def forward(self, level):
        half = self.n // 2
        step = torch.arange(half, dtype=level.dtype) / half
        angle = level[:, None] * torch.exp(-math.log(1e4) * step)
        return torch.cat([angle.sin(), angle.cos()], -1)


class Block(nn.Module):
    def __init__(self, c, out, groups):
        super().__init__()
        conv = nn.Conv2d(c, out, 3, padding=1)
        self.block = nn.Sequential(nn.GroupNorm(groups, c), nn.SiLU(), nn.Identity(), conv)

    def forward(self, x):
        return self.block(x)


class Noise(nn.Module):
    def __init__(self, c, out):
        super().__init__()
        self.noise_func = nn.Sequential(nn.Linear(c, out))

    def forward(self, x, e):
        return x + self.noise_func(e)[:, :, None, None]


class Resnet(nn.Module):
    def __init__(self, c, out, wide, groups):
        super().__init__()
        self.noise_func = Noise(wide, out)
        self.block1 = Block(c, out, groups)
        self.block2 = Block(out, out, groups)
        self.res_conv = nn.Conv2d(c, out, 1) if c != out else nn.Identity()

    def forward(self, x, e):
        return self.block2(self.noise_func(self.block1(x), e)) + self.res_conv(x)


class Attention(nn.Module):
    def __init__(self, c, groups):
        super().__init__()
        self.norm = nn.GroupNorm(groups, c)
        self.qkv = nn.Conv2d(c, 3 * c, 1, bias=False)
        self.out = nn.Conv2d(c, c, 1)

    def forward(self, x):
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).flatten(2).chunk(3, 1)
        a = torch.softmax(torch.einsum("bcn,bcm->bnm", q, k) / math.sqrt(c), -1)
        return x + self.out(torch.einsum("bnm,bcm->bcn", a, v).reshape(b, c, h, w))


class Step(nn.Module):
    def __init__(self, c, out, wide, attend, groups):
        super().__init__()
        self.res_block = Resnet(c, out, wide, groups)
        if attend:
            self.attn = Attention(out, groups)
        self.attend = attend

    def forward(self, x, e):
        x = self.res_block(x, e)
        return self.attn(x) if self.attend else x


class Down(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv = nn.Conv2d(c, c, 3, 2, 1)

    def forward(self, x):
        return self.conv(x)


class Up(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv = nn.Conv2d(c, c, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class Sr3(nn.Module):
    def __init__(self, side, width=64, mults=(1, 2, 4, 8, 8), depth=2, attend_at=(16,), groups=32):
        super().__init__()
        self.noise_level_mlp = nn.Sequential(Wave(width), nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
        downs, sizes, c = [nn.Conv2d(6, width, 3, padding=1)], [width], width
        for i, m in enumerate(mults):
            for _ in range(depth):
                downs.append(Step(c, width * m, width, side in attend_at, groups))
                c = width * m
                sizes.append(c)
            if i < len(mults) - 1:
                downs.append(Down(c))
                sizes.append(c)
                side //= 2
        self.downs = nn.ModuleList(downs)
        self.mid = nn.ModuleList([Step(c, c, width, True, groups), Step(c, c, width, False, groups)])
        ups = []
        for i, m in enumerate(reversed(mults)):
            for _ in range(depth + 1):
                ups.append(Step(c + sizes.pop(), width * m, width, side in attend_at, groups))
                c = width * m
            if i < len(mults) - 1:
                ups.append(Up(c))
                side *= 2
        self.ups = nn.ModuleList(ups)
        self.final_conv = Block(c, 3, groups)

    def forward(self, cond, noisy, level):
        e = self.noise_level_mlp(level)
        h, skips = torch.cat([cond, noisy], 1), []
        for layer in self.downs:
            h = layer(h, e) if isinstance(layer, Step) else layer(h)
            skips.append(h)
        for layer in self.mid:
            h = layer(h, e)
        for layer in self.ups:
            h = layer(torch.cat([h, skips.pop()], 1), e) if isinstance(layer, Step) else layer(h)
        return self.final_conv(h)
