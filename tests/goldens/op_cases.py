"""One case for each op of the standard library with a counterpart in PyTorch: text, inputs, and the reference."""

from dataclasses import dataclass, field
from typing import Callable

import torch
import torch.nn.functional as F
from torchvision.ops import deform_conv2d

import ops


@dataclass
class Case:
    name: str
    says: str
    text: str
    inputs: dict
    torch: Callable
    fixed: tuple = field(default=())  # inputs without a gradient


CASES = []


def case(name, says, text, inputs, reference, fixed=()):
    CASES.append(Case(name, says, text, inputs, reference, fixed))


def normal(*shape, scale=1.0):
    return lambda: scale * torch.randn(*shape)


def unit(*shape):
    return lambda: torch.rand(*shape)


def apart(*shape):
    """Distinct numbers, no two near each other and none near 0: no tie for max, no kink for abs."""

    def make():
        n = torch.Size(shape).numel()
        return (torch.randperm(n).reshape(shape) - n // 2 + 0.5) / n * 4

    return make


# Elementwise
X = {"x": normal(3, 5, scale=2)}
case("sigmoid", "1/(1 + e^-x)", "sigmoid(x)", X, lambda x: x.sigmoid())
case("silu", "x·σ(x)", "silu(x)", X, F.silu)
case("relu", "max(x, 0)", "relu(x)", X, F.relu)
case("leaky_relu", "Two slopes", "leaky_relu(x, 0.1)", X, lambda x: F.leaky_relu(x, 0.1))
case("gelu", "The exact form", "gelu(x)", X, F.gelu)
case("quick_gelu", "CLIP's form", "quick_gelu(x)", X, lambda x: x * (1.702 * x).sigmoid())
case("softplus", "log(1 + e^x)", "softplus(x)", {"x": normal(3, 5, scale=10)}, lambda x: F.softplus(x, threshold=1e9))
case("scalars", "The builtins of one number", "exp(0.3*x) + sin(x) + cos(2*x) + tanh(x) + erf(x) + abs(x)",
     X, lambda x: (0.3 * x).exp() + x.sin() + (2 * x).cos() + x.tanh() + x.erf() + x.abs())
case("angles", "Tangent, inverse hyperbolic sine, and the angle of a point, at the axes, too",
     "tan(0.4*x) + asinh(3*x) + atan2(h, x) + 2.0*round(x) + 1.0*ceil(3*h)",
     {"x": lambda: torch.cat([torch.tensor([2.0, -2.0, 0.0, 0.0, 0.5, -1.5, 2.5, -0.5]), 2 * torch.randn(16)]).reshape(4, 6),
      "h": lambda: torch.cat([torch.tensor([0.0, 0.0, 1.0, -1.0, 0.5, 1.5, -2.5, -0.5]), 2 * torch.randn(16)]).reshape(4, 6)},
     lambda x, h: (0.4 * x).tan() + (3 * x).asinh() + torch.atan2(h, x) + 2 * x.round() + (3 * h).ceil())
case("roots", "Of positive numbers", "log(x + 0.1) + sqrt(x + 0.1) + (x + 0.1)**3 + 1/(x + 0.1) + log2(x + 0.1)",
     {"x": unit(4, 6)}, lambda x: (x + 0.1).log() + (x + 0.1).sqrt() + (x + 0.1) ** 3 + 1 / (x + 0.1) + (x + 0.1).log2())
case("choices", "min, max, clamp, select", "max(x, z) + 2*min(x, z) + clamp(x, -0.5, 0.7) + select(x > z, x*z, z)",
     {"x": normal(4, 6), "z": normal(4, 6)},
     lambda x, z: torch.maximum(x, z) + 2 * torch.minimum(x, z) + x.clamp(-0.5, 0.7) + torch.where(x > z, x * z, z))

# Contractions
case("linear", "Over the last axis", "linear(x, w)", {"x": normal(2, 3, 5), "w": normal(4, 5)}, F.linear)
case("conv1d", "Stride and dilation", "conv1d(x, k, stride=2, pad=2, dilation=2)",
     {"x": normal(2, 3, 11), "k": normal(4, 3, 3)}, lambda x, k: F.conv1d(x, k, stride=2, padding=2, dilation=2))


def conv2d_case(name, says, text, x, k, **how):
    case(name, says, f"conv2d(x, k{text})", {"x": normal(*x), "k": normal(*k)}, lambda x, k: F.conv2d(x, k, **how))


conv2d_case("conv2d", "3 x 3, same size", ", pad=1", (2, 3, 7, 8), (5, 3, 3, 3), padding=1)
conv2d_case("conv2d_1x1", "A matrix product", "", (2, 6, 5, 4), (7, 6, 1, 1))
conv2d_case("conv2d_stride", "Every second pixel, odd sizes", ", stride=2, pad=1", (2, 3, 7, 9), (4, 3, 3, 3), stride=2, padding=1)
conv2d_case("conv2d_stride3", "Stride beyond the kernel", ", stride=3", (1, 2, 10, 11), (3, 2, 2, 2), stride=3)
conv2d_case("conv2d_dilation", "Holes, a kernel that is not square", ", pad=2, dilation=2", (2, 3, 9, 8), (4, 3, 3, 2), padding=2, dilation=2)
conv2d_case("conv2d_stride_dilation", "Both", ", stride=2, pad=3, dilation=3", (1, 2, 11, 12), (3, 2, 3, 3), stride=2, padding=3, dilation=3)
conv2d_case("conv2d_groups", "Two groups and a stride", ", stride=2, pad=1, groups=2", (2, 6, 9, 8), (4, 3, 3, 3), stride=2, padding=1, groups=2)
conv2d_case("conv2d_depthwise", "As many groups as channels", ", pad=1, groups=4", (2, 4, 6, 5), (4, 1, 3, 3), padding=1, groups=4)
conv2d_case("conv2d_patch", "Kernel and stride alike", ", stride=4", (2, 3, 8, 12), (5, 3, 4, 4), stride=4)
conv2d_case("conv2d_large", "7 x 7 on a small picture", ", pad=3", (1, 2, 5, 6), (3, 2, 7, 7), padding=3)
case("conv3d", "3 x 3 x 3, same size", "conv3d(x, k, pad=1)", {"x": normal(2, 3, 4, 5, 6), "k": normal(4, 3, 3, 3, 3)},
     lambda x, k: F.conv3d(x, k, padding=1))
case("conv3d_stride", "The stride is spatial only", "conv3d(x, k, stride=2, pad=1)",
     {"x": normal(1, 2, 3, 6, 7), "k": normal(3, 2, 3, 3, 3)}, lambda x, k: F.conv3d(x, k, stride=(1, 2, 2), padding=1))
case("conv3d_1x1", "One score for each place", "conv3d(x, k)", {"x": normal(2, 4, 3, 4, 5), "k": normal(1, 4, 1, 1, 1)}, F.conv3d)
case("max_pool", "2 x 2", "max_pool(x)", {"x": apart(2, 3, 6, 5)}, lambda x: F.max_pool2d(x, 2))
case("max_pool3", "3 x 3", "max_pool(x, 3)", {"x": apart(1, 2, 6, 9)}, lambda x: F.max_pool2d(x, 3))
case("avg_pool", "2 x 2", "avg_pool(x)", {"x": normal(2, 3, 6, 5)}, lambda x: F.avg_pool2d(x, 2))

# Normalisations and attention
case("softmax", "Over the last axis", "softmax(x)", {"x": normal(3, 4, 7, scale=3)}, lambda x: x.softmax(-1))
case("softmax_axis", "Over another axis", "softmax(x, axis=1)", {"x": normal(2, 5, 3, 2, scale=3)}, lambda x: x.softmax(1))
case("softmax_large", "No overflow", "softmax(x)", {"x": normal(3, 6, scale=200)}, lambda x: x.softmax(-1))
case("group_norm", "Three groups", "group_norm(x, 3)", {"x": normal(2, 6, 5, 4)}, lambda x: F.group_norm(x, 3))
case("group_norm_shifted", "A mean far above the spread", "group_norm(x, 2)", {"x": lambda: torch.randn(2, 4, 5, 4) + 100},
     lambda x: F.group_norm(x, 2))
case("layer_norm", "Over the last axis", "layer_norm(x)", {"x": normal(2, 3, 8)}, lambda x: F.layer_norm(x, x.shape[-1:]))
case("unit", "Rows of length 1", "unit(x)", {"x": normal(4, 6)}, lambda x: F.normalize(x, dim=-1))
case("attention", "Queries, keys and values of different sizes", "attention(q, k, v)",
     {"q": normal(2, 3, 5, 4), "k": normal(2, 3, 7, 4), "v": normal(2, 3, 7, 6)}, F.scaled_dot_product_attention)
case("silu_norm", "Group norm, then SiLU", "group_norm(x, 2) |> silu", {"x": normal(2, 4, 3, 5)}, lambda x: F.silu(F.group_norm(x, 2)))

# Views
case("pixel_shuffle", "Channels to pixels", "pixel_shuffle(x, 2)", {"x": normal(2, 12, 3, 4)}, lambda x: F.pixel_shuffle(x, 2))
case("pixel_unshuffle", "Pixels to channels", "pixel_unshuffle(x, 2)", {"x": normal(2, 3, 4, 6)}, lambda x: F.pixel_unshuffle(x, 2))
case("nearest", "Each pixel 3 x 3 times", "nearest(x, 3)", {"x": normal(2, 3, 4)}, lambda x: F.interpolate(x[None], scale_factor=3)[0])
case("heads", "Split, exchanged, merged", "split_heads(x, 2) |> transpose(2, 3) |> reshape([2, 2, 5, 3]) |> merge_heads",
     {"x": normal(2, 5, 6)}, lambda x: x.unflatten(2, (2, 3)).transpose(1, 2).transpose(2, 3).reshape(2, 2, 5, 3).transpose(1, 2).flatten(2))
case("frames", "Frames to the batch and back, the last one twice", "concat([frames(x) |> unframes(3), x[:, :, -1:]], axis=2)",
     {"x": normal(2, 2, 3, 3, 4)}, lambda x: torch.cat([x, x[:, :, -1:]], 2))
case("slices", "split, stack and slices", """{
  a, b = split(x, [2, 3], axis=1)
  stack([a[:, 1:] + b[:, :1], a[:, :-1]*b[:, 2:]], axis=-1)
}""", {"x": normal(3, 5)}, lambda x: torch.stack([x[:, 1:2] + x[:, 2:3], x[:, 0:1] * x[:, 4:5]], -1))
case("tokens", "A picture to tokens and back, scaled", "untokens(2.0*tokens(x), 3, 4)", {"x": normal(2, 3, 3, 4)}, lambda x: 2 * x)

# Resampling
for by in ("bilinear", "bicubic"):
    for h, w in ((13, 5), (18, 16)):
        for corners in (False, True):
            tail = "_corners" if corners else ""
            flag = ", corners=true" if corners else ""
            case(f"resize_{by}_{h}{tail}", f"9 x 8 to {h} x {w}", f'resize(x, {h}, {w}, "{by}"{flag})', {"x": normal(2, 9, 8)},
                 lambda x, by=by, h=h, w=w, corners=corners: F.interpolate(x[None], size=(h, w), mode=by, align_corners=corners)[0])
    case(f"resize_{by}_antialias", "Shrinking with a wide filter", f'resize(x, 3, 5, "{by}", antialias=true, a=-0.5)', {"x": normal(2, 12, 11)},
         lambda x, by=by: F.interpolate(x[None], size=(3, 5), mode=by, antialias=True)[0])
case("resize_area", "Means of 3 x 2 pixels", 'resize(x, 3, 4, "area", antialias=true)', {"x": normal(2, 9, 8)}, lambda x: F.avg_pool2d(x, (3, 2)))
case("warp", "Outside is 0", "warp(x, flow)", {"x": normal(2, 3, 7, 6), "flow": normal(2, 2, 7, 6, scale=3)}, ops.warp)
case("warp_border", "Outside repeats the border", "warp(x, flow, border=true)",
     {"x": normal(2, 3, 7, 6), "flow": normal(2, 2, 7, 6, scale=3)}, lambda x, flow: ops.warp(x, flow, border=True))
case("deform_conv2d", "Two groups of channels", "deform_conv2d(x, offset, mask, k, pad=1)",
     {"x": normal(2, 4, 5, 6), "offset": normal(2, 36, 5, 6, scale=2), "mask": unit(2, 18, 5, 6), "k": normal(3, 4, 3, 3)},
     lambda x, offset, mask, k: deform_conv2d(x, offset, k, padding=1, mask=mask))
case("deform_conv2d_zero", "Offsets of 0, where training starts", "deform_conv2d(x, offset, mask, k, pad=1)",
     {"x": normal(1, 4, 5, 4), "offset": lambda: torch.zeros(1, 36, 5, 4), "mask": unit(1, 18, 5, 4), "k": normal(3, 4, 3, 3)},
     lambda x, offset, mask, k: deform_conv2d(x, offset, k, padding=1, mask=mask))
case("deform_conv2d_stride", "Every second pixel", "deform_conv2d(x, offset, mask, k, stride=2, pad=1)",
     {"x": normal(1, 2, 7, 6), "offset": normal(1, 18, 4, 3), "mask": unit(1, 9, 4, 3), "k": normal(3, 2, 3, 3)},
     lambda x, offset, mask, k: deform_conv2d(x, offset, k, stride=2, padding=1, mask=mask))
case("lucas_kanade", "The flow of a smooth picture; without a gradient", "lucas_kanade(a, b)",
     {"a": lambda: smooth(0.0), "b": lambda: smooth(1.5)}, lambda a, b: ops.lucas_kanade(a, b) + 0 * (a + b).sum(), fixed=("a", "b"))


def smooth(shift):
    i, j = torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij")
    j = j - shift
    return (0.5 + 0.2 * torch.sin(0.5 * i + 0.3 * j) + 0.2 * torch.cos(0.4 * j - 0.2 * i))[None, None]


# Losses and an optimiser
PAIR = {"a": unit(2, 3, 4, 5), "b": unit(2, 3, 4, 5)}
CLIP = {"a": unit(1, 3, 3, 4, 5), "b": unit(1, 3, 3, 4, 5)}
case("l1", "Mean absolute difference", "l1(a, b)", PAIR, ops.l1)
case("mse", "Mean squared difference", "mse(a, b)", PAIR, F.mse_loss)
case("charbonnier", "A smooth l1", "charbonnier(a, b)", PAIR, lambda a, b: ((a - b) ** 2 + 1e-6).sqrt().mean())
case("psnr", "In dB, of a clipped", "psnr(a, b)", {"a": normal(2, 3, 4, 5), "b": unit(2, 3, 4, 5)}, ops.psnr)
case("ssim", "11 x 11 windows", "ssim(a, b)", {"a": unit(1, 2, 14, 13), "b": unit(1, 2, 14, 13)}, ops.ssim)
case("temporal", "Change from frame to frame", "temporal(a, b)", CLIP, ops.temporal)
case("cosine_distance", "Mean of 1 - cos", "cosine_distance(a, b)", {"a": normal(4, 6), "b": normal(4, 6)},
     lambda a, b: (1 - F.cosine_similarity(a, b)).mean())
case("warp_error", "Carried along a flow, weighted by the target", "warp_error(a, b, flow)",
     {**CLIP, "flow": normal(2, 2, 4, 5)}, ops.warp_error, fixed=("b", "flow"))


def adam(w, g):
    weight = torch.nn.Parameter(w.detach().clone())
    weight.grad = g.detach().clone()
    torch.optim.Adam([weight], 0.1).step()
    return weight.detach() + 0 * (w + g)


case("adam", "The first step of torch.optim.Adam at rate 0.1", "Adam()(w, g, 0.1)", {"w": normal(3, 4), "g": normal(3, 4)}, adam, fixed=("w", "g"))
