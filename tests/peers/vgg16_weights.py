"""VGG16's ImageNet weights from an ONNX file to safetensors, under the keys of models/vgg16.vsr.

    pip install onnx numpy
    python tests/peers/vgg16_weights.py model.onnx models/weights/vgg16.safetensors

Any ONNX file will do whose first thirteen convolutions are VGG16's, in order; what follows them (a classifier's head) is
left out. The original weights take pictures in the Caffe way: `frozen vgg? = Vgg16(caffe=true) from "…"`.
"""

import json
import sys

import numpy as np
import onnx
from onnx import numpy_helper

LAYERS = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
WIDTHS = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]


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
    header, data = {}, b""
    for key, value in tensors.items():
        raw = np.ascontiguousarray(value, dtype="<f4").tobytes()
        header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + data)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    tensors = chosen(convolutions(onnx.load(sys.argv[1])))
    write(sys.argv[2], tensors)
    total = sum(v.size for v in tensors.values())
    print(f"{len(tensors)} tensors, {total} parameters -> {sys.argv[2]}")


if __name__ == "__main__":
    main()
