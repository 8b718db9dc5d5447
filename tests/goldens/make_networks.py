"""Makes `networks/*.safetensors` and `networks/keys.json`: the networks of the field, by their reference implementations.

Weights are not stored: each is a function of its key and shape (`weight` below; the tests have the same one). Everything
is computed in float64. Needs torch, torchvision, diffusers and transformers; see README.md.
"""

import json
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "peers"))
import basicvsr_pp  # noqa: E402
import sr3  # noqa: E402
import spynet  # noqa: E402
import vdsr  # noqa: E402
import vsrnet  # noqa: E402
from make import exact, moving, save  # noqa: E402

torch.set_default_dtype(torch.float64)
MASK = (1 << 64) - 1


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data.encode():
        h = (h ^ b) * 0x100000001B3 & MASK
    return h


def noise(key, n):
    """n numbers in [-1, 1), of 24 bits: splitmix64 from the key's hash."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv(key)) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1


def weight(key, shape):
    """Keeps the size of what passes; scales are powers of two, so that float32 holds every value."""
    n = int(np.prod(shape))
    u = noise(key, n)
    if len(shape) >= 2:
        inputs = n // shape[0]
        value = u * 2.0 ** np.floor(0.5 + 0.5 * np.log2(4.5 / inputs))
    elif key.endswith("weight"):
        value = 1 + 0.25 * u
    else:
        value = 0.125 * u
    return torch.from_numpy(value.astype(np.float32).astype(np.float64)).reshape(tuple(shape))


def filled(model):
    model = model.double().eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.copy_(weight(key, p.shape))
    return model


def normal(seed, *shape):
    torch.manual_seed(seed)
    return exact(torch.randn(shape))


def golden(name, source, model, run, inputs, set, dims, fixed=(), entry=None, only=None):
    """Values, gradients of the inputs, and of each weight its gradient's projection on a direction of its own."""
    inputs = {k: v.requires_grad_(k not in fixed) for k, v in inputs.items()}
    ys = run(*inputs.values())
    ys = ys if isinstance(ys, (list, tuple)) else [ys]
    dys = [torch.from_numpy(noise(f"dy.{i}", y.numel())).reshape(y.shape) for i, y in enumerate(ys)]
    sum((y * dy).sum() for y, dy in zip(ys, dys)).backward()
    tensors = {k: v for k, v in inputs.items()}
    tensors |= {f"y.{i}": y for i, y in enumerate(ys)}
    tensors |= {f"grad.{k}": v.grad for k, v in inputs.items() if v.grad is not None}
    slopes = {}
    for key, p in model.named_parameters():
        if only is None or key.startswith(only):
            direction = torch.from_numpy(noise("slope." + key, p.numel())).reshape(p.shape)
            slopes[key] = float((p.grad * direction).sum()) if p.grad is not None else 0.0
    tensors["slopes"] = torch.tensor([slopes[k] for k in sorted(slopes)])
    about = {"source": source, "set": set, "dims": dims, "entry": entry or ""}
    save(f"networks/{name}.safetensors", tensors, **about)


def sdxl_config(width, depth, heads, ctx, pooled, groups):
    return dict(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=width, layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=[max(d, 1) for d in depth], attention_head_dim=heads,
        cross_attention_dim=ctx, norm_num_groups=groups, use_linear_projection=True,
        addition_embed_type="text_time", addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=pooled + 1536,
    )  # fmt: skip


def vae_config(width, groups):
    return dict(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=width, layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=groups, scaling_factor=0.13025,
    )  # fmt: skip


def clip_config(width, depth, heads, patch, side, out):
    return CLIPVisionConfig(
        hidden_size=width, intermediate_size=4 * width, projection_dim=out, num_hidden_layers=depth,
        num_attention_heads=heads, image_size=side, patch_size=patch, hidden_act="quick_gelu",
        attn_implementation="eager",
    )  # fmt: skip


def make_unet():
    model = filled(UNet2DConditionModel(**sdxl_config([8, 16, 24], [0, 1, 2], [1, 2, 3], 12, 10, 4)))
    ids = [96.0, 64.0, 3.0, 5.0, 128.0, 72.0]

    def run(z, t, ctx, pooled, ids):
        more = {"text_embeds": pooled, "time_ids": ids.expand(len(z), 6)}
        return model(z, t, ctx, added_cond_kwargs=more).sample

    inputs = {"z": normal(1, 2, 4, 8, 4), "t": exact(torch.tensor([7.25, 3.5])), "ctx": normal(2, 2, 5, 12)}
    inputs |= {"pooled": normal(3, 2, 10), "ids": torch.tensor(ids)}
    set = {"width": [8, 16, 24], "depth": [0, 1, 2], "head": 8, "groups": 4}
    dims = {"B": 2, "H": 8, "W": 4, "N": 5, "D": 12, "P": 10}
    # The reference takes sines and cosines in float32: no gradients through its times, and six digits.
    golden("sdxl-unet", "models/sdxl-unet.vsr", model, run, inputs, set, dims, fixed=("t", "ids"))


def make_vae():
    model = filled(AutoencoderKL(**vae_config([4, 8, 12, 16], 4)))
    set = {"width": [4, 8, 12, 16], "groups": 4}
    encode = lambda x: model.encode(x).latent_dist.mean * 0.13025  # noqa: E731
    decode = lambda z: model.decode(z / 0.13025).sample  # noqa: E731
    source = "models/sdxl-vae.vsr"
    only = ("encoder.", "quant_conv.")
    golden("sdxl-vae-encode", source, model, encode, {"x": normal(4, 1, 3, 32, 16)}, set,
           {"B": 1, "H": 32, "W": 16}, entry="SdxlEncode", only=only)  # fmt: skip
    model.zero_grad()
    only = ("decoder.", "post_quant_conv.")
    z = exact(0.13025 * normal(5, 1, 4, 4, 2))
    golden("sdxl-vae-decode", source, model, decode, {"z": z}, set,
           {"B": 1, "H": 4, "W": 2}, entry="SdxlDecode", only=only)  # fmt: skip


def picture(seed, b, h, w):
    torch.manual_seed(seed)
    return moving(b, 1, h, w)[:, :, 0].contiguous()


class Vgg(torch.nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for width, depth in zip(widths, [2, 2, 3, 3, 3]):
            layers += [width] * depth + ["M"]
        self.features = torchvision.models.vgg.make_layers(layers)


def make_vgg(name, caffe):
    widths, taps = [4, 8, 12, 16, 16], [3, 8, 15, 22, 29]
    model = filled(Vgg(widths))

    def run(x):
        if caffe:
            x = 255 * x.flip(1) - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
        else:
            x = torchvision.transforms.functional.normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        out = []
        for i, layer in enumerate(model.features):
            x = layer(x) if not isinstance(layer, torch.nn.ReLU) else F.relu(x)
            if i in taps:
                out.append(x)
        return out

    set = {"widths": widths, "taps": taps} | ({"caffe": True} if caffe else {})
    golden(name, "models/vgg16.vsr", model, run, {"x": picture(6, 1, 32, 36)}, set, {"B": 1, "H": 32, "W": 36})


def make_clip():
    model = filled(CLIPVisionModelWithProjection(clip_config(32, 2, 4, 8, 16, 12)))

    def run(x):
        h, w = x.shape[2:]
        short = min(h, w)
        size = [(2 * 16 * n + short) // (2 * short) for n in (h, w)]
        x = F.interpolate(x, size, mode="bicubic", antialias=True)
        top, left = (size[0] - 16) // 2, (size[1] - 16) // 2
        x = x[:, :, top : top + 16, left : left + 16]
        mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
        x = torchvision.transforms.functional.normalize(x, mean, std)
        return F.normalize(model(pixel_values=x).image_embeds, dim=-1)

    set = {"width": 32, "depth": 2, "head": 8, "patch": 8, "side": 16, "out": 12}
    golden("clip-image", "models/clip-image.vsr", model, run, {"x": picture(7, 2, 24, 20)}, set,
           {"B": 2, "H": 24, "W": 20})  # fmt: skip


def make_twins():
    flow = [4, 8, 4, 4, 2]
    model = filled(spynet.SpyNet(flow))
    pair = {"ref": picture(8, 1, 40, 28), "supp": picture(9, 1, 40, 28)}
    golden("spynet", "models/spynet.vsr", model, model, pair, {"widths": flow}, {"B": 1, "H": 40, "W": 28})

    small = {"mid": 8, "blocks": 1, "narrow": 4, "groups": 2, "flow": flow}
    model = filled(basicvsr_pp.BasicVsrPP(**small))
    torch.manual_seed(10)
    golden("basicvsr-pp", "models/basicvsr-pp.vsr", model, model, {"x": moving(1, 4, 8, 12)}, small,
           {"B": 1, "T": 4, "H": 8, "W": 12})  # fmt: skip

    model = filled(vdsr.Vdsr(8, 5))
    golden("vdsr", "models/vdsr.vsr", model, model, {"x": picture(11, 1, 16, 20)[:, :1]}, {"width": 8, "depth": 5},
           {"B": 1, "H": 16, "W": 20}, entry="Vdsr")  # fmt: skip

    model = filled(vsrnet.VsrNet(3, 8, 4))
    torch.manual_seed(12)
    golden("vsrnet", "models/vsrnet.vsr", model, model, {"x": moving(1, 3, 12, 16)[:, :1]}, {"wide": 8, "narrow": 4},
           {"B": 1, "T": 3, "H": 12, "W": 16})  # fmt: skip

    small = {"width": 8, "mults": [1, 2, 3], "depth": 1, "attend_at": [8], "groups": 2}
    model = filled(sr3.Sr3(16, **small))
    inputs = {"cond": picture(13, 2, 16, 16), "noisy": normal(14, 2, 3, 16, 16)}
    inputs["level"] = exact(torch.tensor([0.9, 0.35]))
    golden("sr3", "models/sr3.vsr", model, model, inputs, small, {"B": 2, "H": 16, "W": 16})


# Keys and shapes of the full networks.


def digest(lines):
    return f"{fnv(chr(10).join(sorted(lines))):016x}"


def shapes(model, only=None):
    named = model.named_parameters()
    return {k: list(p.shape) for k, p in named if only is None or k.startswith(only)}


def summary(named):
    return {
        "tensors": len(named),
        "parameters": sum(int(np.prod(s)) for s in named.values()),
        "digest": digest(f"{k} {s}" for k, s in named.items()),
    }


def unet_ldm(key):
    """The single file's name of a UNet weight, worked out by hand; the public converter takes it back (below)."""
    p = key.split(".")
    inner = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
             "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}  # fmt: skip
    tops = {"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}
    embed = {"time_embedding": "time_embed", "add_embedding": "label_emb.0"}
    if p[0] in tops:
        out = [tops[p[0]], p[1]]
    elif p[0] in embed:
        out = [embed[p[0]], "0" if p[1] == "linear_1" else "2", p[2]]
    else:
        mid = p[0] == "mid_block"
        i = 0 if mid else int(p[1])
        kind, j, rest = (p[1], int(p[2]), p[3:]) if mid else (p[2], int(p[3]), p[4:])
        if kind == "resnets":
            rest = [inner[rest[0]], *rest[1:]]
        if mid:
            place = f"middle_block.{2 * j if kind == 'resnets' else 1}"
        elif kind == "downsamplers":
            place, rest = f"input_blocks.{3 * i + 3}.0", ["op", *rest[1:]]
        elif kind == "upsamplers":
            place = f"output_blocks.{3 * i + 2}.2"
        else:
            n = 3 * i + j + (1 if p[0] == "down_blocks" else 0)
            side = "input_blocks" if p[0] == "down_blocks" else "output_blocks"
            place = f"{side}.{n}.{0 if kind == 'resnets' else 1}"
        out = [place, *rest]
    return "model.diffusion_model." + ".".join(out)


def vae_ldm(key):
    attn = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
    p = key.split(".")
    if p[1] in ("down_blocks", "up_blocks"):
        side = "down" if p[1] == "down_blocks" else "up"
        i = int(p[2]) if side == "down" else 3 - int(p[2])
        if p[3] == "resnets":
            rest = ["block", p[4], *p[5:]]
        else:
            rest = ["downsample" if side == "down" else "upsample", *p[5:]]
        p = [p[0], side, str(i), *rest]
    elif p[1] == "mid_block" and p[2] == "resnets":
        p = [p[0], "mid", f"block_{int(p[3]) + 1}", *p[4:]]
    elif p[1] == "mid_block":
        p = [p[0], "mid", "attn_1", attn[".".join(p[4:-1])], p[-1]]
    out = ".".join(p).replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    return "first_stage_model." + out


def inverted(named, to_ldm, convert, model):
    """The pairs of both names, after the public converter has taken every one of them back."""
    ldm = {to_ldm(k): torch.empty(s, device="meta") for k, s in named.items()}
    for key in ldm:
        if ".mid.attn_1." in key and key.endswith("weight") and ".norm." not in key:
            ldm[key] = ldm[key][:, :, None, None]
    back = convert(dict(ldm), config=model.config)
    assert {k: list(v.shape) for k, v in back.items()} == named
    return digest(f"{k} {to_ldm(k)}" for k in named)


def make_keys():
    with torch.device("meta"):
        unet = UNet2DConditionModel(**sdxl_config([320, 640, 1280], [0, 2, 10], [5, 10, 20], 2048, 1280, 32))
        vae = AutoencoderKL(**vae_config([128, 256, 512, 512], 32))
        clip = CLIPVisionModelWithProjection(clip_config(768, 12, 12, 32, 224, 512))
        vgg = torchvision.models.vgg16().features
        networks = {
            "sdxl-unet": shapes(unet),
            "sdxl-vae": shapes(vae),
            "clip-image": shapes(clip),
            "vgg16": {f"features.{k}": s for k, s in shapes(vgg).items()},
            "spynet": shapes(spynet.SpyNet()),
            "basicvsr-pp": shapes(basicvsr_pp.BasicVsrPP()),
            "vdsr": shapes(vdsr.Vdsr()),
            "vsrnet": shapes(vsrnet.VsrNet()),
            "sr3": shapes(sr3.Sr3(128)),
        }
    table = {name: summary(named) for name, named in networks.items()}
    convert = single_file_utils
    table["sdxl-unet"]["ldm"] = inverted(networks["sdxl-unet"], unet_ldm, convert.convert_ldm_unet_checkpoint, unet)
    table["sdxl-vae"]["ldm"] = inverted(networks["sdxl-vae"], vae_ldm, convert.convert_ldm_vae_checkpoint, vae)
    with open(os.path.join(HERE, "networks", "keys.json"), "w") as f:
        json.dump(table, f, indent=1)
        f.write("\n")


def main():
    os.makedirs(os.path.join(HERE, "networks"), exist_ok=True)
    make_unet()
    make_vae()
    make_vgg("vgg16", caffe=False)
    make_vgg("vgg16-caffe", caffe=True)
    make_clip()
    make_twins()
    make_keys()


if __name__ == "__main__":
    main()
