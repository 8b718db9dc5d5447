"""A PyTorch twin of models/basicvsr-pp.vsr, by the public implementation's description, with torchvision's deformable
convolution. Keys are those of the public `generator`."""

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import deform_conv2d

import ops
from spynet import SpyNet


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1 = nn.Conv2d(c, c, 3, padding=1)
        self.conv2 = nn.Conv2d(c, c, 3, padding=1)

    def forward(self, x):
        return x + self.conv2(F.relu(self.conv1(x)))


class Trunk(nn.Module):
    def __init__(self, c, out, blocks):
        super().__init__()
        body = nn.Sequential(*[Residual(out) for _ in range(blocks)])
        self.main = nn.Sequential(nn.Conv2d(c, out, 3, padding=1), nn.LeakyReLU(0.1), body)

    def forward(self, x):
        return self.main(x)


class Align(nn.Module):
    def __init__(self, mid, groups):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(mid, 2 * mid, 3, 3))
        self.bias = nn.Parameter(torch.empty(mid))
        layers = []
        for i in range(3):
            layers += [nn.Conv2d(3 * mid + 4 if i == 0 else mid, mid, 3, padding=1), nn.LeakyReLU(0.1)]
        self.conv_offset = nn.Sequential(*layers, nn.Conv2d(mid, 27 * groups, 3, padding=1))

    def forward(self, x, cond, flow1, flow2):
        o1, o2, mask = self.conv_offset(torch.cat([cond, flow1, flow2], 1)).chunk(3, 1)
        o1, o2 = (10 * torch.tanh(torch.cat([o1, o2], 1))).chunk(2, 1)
        o1 = o1 + flow1.flip(1).repeat(1, o1.shape[1] // 2, 1, 1)
        o2 = o2 + flow2.flip(1).repeat(1, o2.shape[1] // 2, 1, 1)
        offset = torch.cat([o1, o2], 1)
        return deform_conv2d(x, offset, self.weight, self.bias, padding=1, mask=torch.sigmoid(mask))


class Up(nn.Module):
    def __init__(self, c, out):
        super().__init__()
        self.upsample_conv = nn.Conv2d(c, 4 * out, 3, padding=1)

    def forward(self, x):
        return F.leaky_relu(F.pixel_shuffle(self.upsample_conv(x), 2), 0.1)


class BasicVsrPP(nn.Module):
    def __init__(self, mid=64, blocks=7, narrow=64, groups=16, flow=(32, 64, 32, 16, 2)):
        super().__init__()
        self.mid = mid
        self.spynet = SpyNet(flow)
        self.feat_extract = Trunk(3, mid, 5)
        names = ["backward_1", "forward_1", "backward_2", "forward_2"]
        self.deform_align = nn.ModuleDict({n: Align(mid, groups) for n in names})
        self.backbone = nn.ModuleDict({n: Trunk((2 + i) * mid, mid, blocks) for i, n in enumerate(names)})
        self.reconstruction = Trunk(5 * mid, mid, 5)
        self.upsample1 = Up(mid, mid)
        self.upsample2 = Up(mid, narrow)
        self.conv_hr = nn.Conv2d(narrow, narrow, 3, padding=1)
        self.conv_last = nn.Conv2d(narrow, 3, 3, padding=1)

    def propagate(self, name, feats, flows):
        """Over the frames in order; `flows[i]` leads from frame i + 1 to frame i of that order."""
        spatial = feats["spatial"] if "forward" in name else feats["spatial"][::-1]
        order = range(len(spatial)) if "forward" in name else range(len(spatial))[::-1]
        zero = torch.zeros_like(spatial[0][:, :1]).expand(-1, self.mid, -1, -1)
        done, now = [], zero
        for i, t in enumerate(order):
            current = spatial[i]
            if i > 0:
                f1 = flows[i - 1]
                c1 = ops.warp(now, f1)
                n2, f2, c2 = zero, torch.zeros_like(f1), zero
                if i > 1:
                    n2 = done[-2]
                    f2 = f1 + ops.warp(flows[i - 2], f1)
                    c2 = ops.warp(n2, f2)
                cond = torch.cat([c1, current, c2], 1)
                now = self.deform_align[name](torch.cat([now, n2], 1), cond, f1, f2)
            earlier = [v[t] for k, v in feats.items() if k not in ("spatial", name)]
            now = now + self.backbone[name](torch.cat([current, *earlier, now], 1))
            done.append(now)
        feats[name] = done if "forward" in name else done[::-1]

    def forward(self, x):
        low = list(x.unbind(2))
        feats = {"spatial": [self.feat_extract(f) for f in low]}
        # From a frame to its follower, and to its predecessor.
        to_next = [self.spynet(a, b) for a, b in zip(low, low[1:])]
        to_last = [self.spynet(b, a) for a, b in zip(low, low[1:])]
        for n in (1, 2):
            self.propagate(f"backward_{n}", feats, to_next[::-1])
            self.propagate(f"forward_{n}", feats, to_last)
        out = []
        for t, frame in enumerate(low):
            h = self.reconstruction(torch.cat([v[t] for v in feats.values()], 1))
            h = self.upsample2(self.upsample1(h))
            h = self.conv_last(F.leaky_relu(self.conv_hr(h), 0.1))
            out.append(h + F.interpolate(frame, scale_factor=4, mode="bilinear", align_corners=False))
        return torch.stack(out, 2)
