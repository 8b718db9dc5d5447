"""A PyTorch twin of models/vdsr.vsr."""

import torch.nn.functional as F
from torch import nn

import ops


class Vdsr(nn.Module):
    def __init__(self, width=64, depth=20):
        super().__init__()
        layers = []
        for i in range(depth):
            c, out = 1 if i == 0 else width, 1 if i == depth - 1 else width
            conv = nn.Conv2d(c, out, 3, padding=1, bias=False)
            r = (6 / (9 * c)) ** 0.5 if i < depth - 1 else 0.0
            nn.init.uniform_(conv.weight, -r, r)
            layers += [conv, nn.ReLU()]
        self.features = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return x + self.features(x)


def losses(model, high, scale=4):
    """The train item: its loss and metrics, by name."""
    h, w = high.shape[-2:]
    y = ops.luma(ops.frames(high))
    x = ops.resize(y, h // scale, w // scale, "bicubic", antialias=True, a=-0.5)
    z = model(ops.resize(x, h, w, "bicubic", a=-0.5))
    loss = F.mse_loss(z, y)
    return {"loss": loss, "pixel": loss, "psnr": ops.psnr(z, y)}
