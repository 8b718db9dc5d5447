"""A PyTorch twin of models/spynet.vsr, by the public implementation's description. Keys are those of mmagic's checkpoint."""

import torch
import torch.nn.functional as F
from torch import nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class Conv(nn.Module):
    """A convolution under the name `conv`, with or without relu."""

    def __init__(self, c, out, act):
        super().__init__()
        self.conv = nn.Conv2d(c, out, 7, padding=3)
        self.act = act

    def forward(self, x):
        x = self.conv(x)
        return F.relu(x) if self.act else x


class Level(nn.Module):
    def __init__(self, widths):
        super().__init__()
        sizes = [8, *widths]
        convs = [Conv(a, b, i < len(widths) - 1) for i, (a, b) in enumerate(zip(sizes, widths))]
        self.basic_module = nn.Sequential(*convs)

    def forward(self, x):
        return self.basic_module(x)


class SpyNet(nn.Module):
    def __init__(self, widths=(32, 64, 32, 16, 2)):
        super().__init__()
        self.basic_module = nn.ModuleList([Level(widths) for _ in range(6)])

    def pyramid(self, x):
        mean, std = (torch.tensor(v, dtype=x.dtype).view(1, 3, 1, 1) for v in (MEAN, STD))
        levels = [(x - mean) / std]
        for _ in range(5):
            levels.insert(0, F.avg_pool2d(levels[0], 2, 2, count_include_pad=False))
        return levels

    def forward(self, ref, supp):
        h, w = ref.shape[2:]
        h32, w32 = -(-h // 32) * 32, -(-w // 32) * 32
        ref = F.interpolate(ref, (h32, w32), mode="bilinear", align_corners=False)
        supp = F.interpolate(supp, (h32, w32), mode="bilinear", align_corners=False)
        flow = ref.new_zeros(ref.shape[0], 2, h32 // 32, w32 // 32)
        for level, a, b in zip(self.basic_module, self.pyramid(ref), self.pyramid(supp)):
            if flow.shape[2:] != a.shape[2:]:
                flow = 2 * F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True)
            flow = flow + level(torch.cat([a, warp(b, flow), flow], 1))
        flow = F.interpolate(flow, (h, w), mode="bilinear", align_corners=False)
        return flow * torch.tensor([w / w32, h / h32], dtype=flow.dtype).view(1, 2, 1, 1)


def warp(x, flow):
    """Border sampling. A side of one pixel has only one place to sample."""
    n, _, h, w = x.shape
    i, j = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    u = 2 * (j + flow[:, 0]) / max(w - 1, 1) - 1
    v = 2 * (i + flow[:, 1]) / max(h - 1, 1) - 1
    return F.grid_sample(x, torch.stack([u, v], -1), padding_mode="border", align_corners=True)
