"""Makes every golden in this folder, and the case files in ../cases/ops. See README.md.

Everything is computed in float64 from values that are exact in float32, and stored as float32.
"""

import json
import os
import sys

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
# Characters of a line, as `vsrc fmt` has it.
WIDTH = 110
sys.path.insert(0, os.path.join(HERE, "..", "peers"))
import ops  # noqa: E402
import vdsr  # noqa: E402
import vsr  # noqa: E402
from op_cases import CASES  # noqa: E402

torch.set_default_dtype(torch.float64)


def exact(x):
    return x.float().double()


def save(name, tensors, **about):
    """Safetensors in a fixed order: the library's own writer shuffles the metadata."""
    header = {"__metadata__": {k: v if isinstance(v, str) else json.dumps(v) for k, v in about.items()}}
    data = b""
    for key, value in tensors.items():
        value = value.detach().float().contiguous()
        end = len(data) + 4 * value.numel()
        header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), end]}
        data += value.numpy().tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(HERE, name), "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + data)


def disturb(model, size):
    """Away from the zeros and ones of the start, so that every path carries a gradient."""
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.copy_(exact(p + size * torch.randn_like(p)))
    return model


def moving(b, t, h, w):
    """A smooth random clip in [0.1, 0.9]."""
    x = torch.rand(b, 3, t, h // 4, w // 4)
    x = torch.nn.functional.interpolate(x.flatten(0, 1), size=(h, w), mode="bicubic").unflatten(0, (b, 3))
    return exact(0.1 + 0.8 * x.clamp(0, 1))


def gradients(model, terms):
    model.zero_grad()
    terms["loss"].backward()
    none = {k: torch.zeros_like(p) for k, p in model.named_parameters() if p.grad is None}
    return {f"grad.{k}": none.get(k, p.grad) for k, p in model.named_parameters()}


def flagship(name, **over):
    torch.manual_seed(7)
    over = {"ch": 8, "rank": 8, "blocks": 1, **over}
    dims = {"B": 1, "T": 3, "H": 16, "W": 16}
    model = disturb(vsr.Vsr(**over), 0.03)
    if model.align.deform:
        with torch.no_grad():
            offset = model.align.offset["out"].weight
            offset.copy_(exact(100 * offset))  # offsets of whole pixels
    x = moving(1, 3, 16, 16)
    clip = moving(1, 4, 64, 64)
    terms = vsr.losses(model, clip)
    tensors = {f"weight.{k}": v for k, v in model.state_dict().items()}
    tensors |= {"x": x, "y": model(x), "clip": clip, **terms, **gradients(model, terms)}
    about = {"source": "models/vsr.vsr", "model": "Vsr", "set": {**over, "strength": 0.0}, "dims": dims}
    save(name, tensors, **about)


def narrow_vdsr():
    """Loss and gradients, and the weights after three steps of Adam at rate 1e-3."""
    torch.manual_seed(8)
    model = disturb(vdsr.Vdsr(8, 4), 0.03)
    high = moving(2, 1, 32, 32)
    x = ops.luma(moving(1, 1, 24, 24)[:, :, 0])
    terms = vdsr.losses(model, high)
    tensors = {f"weight.{k}": v.clone() for k, v in model.state_dict().items()}
    tensors |= {"x": x, "y": model(x), "high": high, **terms, **gradients(model, terms)}
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(3):
        adam.zero_grad()
        vdsr.losses(model, high)["loss"].backward()
        adam.step()
    tensors |= {f"after.{k}": v for k, v in model.state_dict().items()}
    dims = {"B": 2, "T": 1, "H": 32, "W": 32}
    about = {"source": "models/vdsr.vsr", "model": "Vdsr", "set": {"width": 8, "depth": 4}, "dims": dims}
    save("vdsr.safetensors", tensors, **about, infer={"B": 1, "H": 24, "W": 24}, steps=3, rate=1e-3)


def op(case):
    torch.manual_seed(sum(map(ord, case.name)))
    inputs = {k: exact(make()).requires_grad_(k not in case.fixed) for k, make in case.inputs.items()}
    y = case.torch(*inputs.values())
    dy = exact(torch.randn(y.shape))
    if y.requires_grad:
        (y * dy).sum().backward()
    tensors = {**inputs, "y": y, "dy": dy}
    tensors |= {f"grad.{k}": v.grad for k, v in inputs.items() if v.grad is not None}
    save(f"ops/{case.name}.safetensors", tensors, source=f"tests/cases/ops/{case.name}.vsr", model="Case")
    with open(os.path.join(HERE, "..", "cases", "ops", f"{case.name}.vsr"), "w") as f:
        f.write(text(case, inputs, y))


def text(case, inputs, y):
    """A model whose dims are written out: D0, D1, … in the order of the inputs' axes."""
    dims, sides = {}, []
    for key, value in inputs.items():
        names = []
        for size in value.shape:
            names.append(f"D{len(dims)}")
            dims[names[-1]] = size
        sides.append(f"{key}: [{', '.join(names)}]")
    result = ", ".join(map(str, y.shape))
    setting = "  ".join(f"{k} = {v}" for k, v in dims.items())
    body = case.text if "{" in case.text else f"= {case.text}"
    profile = f"profile case {{ {setting} }}\n" if setting else "profile case { B = 1 }\n"
    head = f"model Case()({', '.join(sides)}) -> [{result}]"
    line = f"{head} {body}"
    if body.startswith("= ") and len(line) > WIDTH:
        line = f"{head} =\n  {case.text}"
    return f"## {case.says}\n{line}\n\n{profile}"


def main():
    flagship("vsr-deform.safetensors")
    flagship("vsr-plain.safetensors", deform=False, attention=False)
    narrow_vdsr()
    for case in CASES:
        op(case)


if __name__ == "__main__":
    main()
