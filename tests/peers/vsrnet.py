"""A PyTorch twin of models/vsrnet.vsr."""

import torch
import torch.nn.functional as F
from torch import nn


class VsrNet(nn.Module):
    def __init__(self, n_frames=5, wide=64, narrow=32):
        super().__init__()
        self.conv1 = nn.ModuleList([nn.Conv2d(1, wide, 9, padding=4) for _ in range(n_frames)])
        self.conv2 = nn.Conv2d(n_frames * wide, narrow, 5, padding=2)
        self.conv3 = nn.Conv2d(narrow, 1, 5, padding=2)

    def forward(self, x):
        h = torch.cat([F.relu(conv(x[:, :, t])) for t, conv in enumerate(self.conv1)], 1)
        return self.conv3(F.relu(self.conv2(h)))
