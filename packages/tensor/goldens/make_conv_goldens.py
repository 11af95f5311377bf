"""Writes what PyTorch gives for convolution and pooling, forward and backward, to conv.json beside this file.

    python3 packages/tensor/goldens/make_conv_goldens.py

Arrays are flat, in the layout of this package: images [n, height, width, channels], kernels [kh, kw, channels, filters].
The gradient is that of the sum of the output times `weights`.
"""

import json
from pathlib import Path

import torch
from torch.nn import functional

torch.manual_seed(11)
torch.set_num_threads(1)

# images [n, h, w, c], kernel [kh, kw] and filters, stride, padding
CONVOLUTIONS = [
    ([2, 6, 7, 3], [3, 3], 4, [1, 1], [0, 0]),
    ([1, 8, 8, 1], [5, 5], 8, [1, 1], [2, 2]),
    ([2, 7, 6, 4], [3, 2], 9, [2, 2], [1, 1]),
    ([1, 9, 5, 2], [1, 4], 3, [3, 1], [0, 3]),
    ([3, 4, 4, 8], [1, 1], 5, [2, 3], [0, 0]),
    ([1, 1, 1, 1], [1, 1], 1, [1, 1], [0, 0]),
    ([1, 5, 5, 1], [2, 2], 2, [4, 3], [3, 2]),
]
# images [n, h, w, c], window, stride, padding
POOLS = [
    ([2, 6, 8, 3], [2, 2], [2, 2], [0, 0]),
    ([1, 7, 7, 5], [3, 3], [2, 2], [1, 1]),
    ([2, 5, 9, 1], [2, 4], [1, 3], [1, 2]),
    ([1, 6, 5, 4], [3, 2], [1, 1], [0, 1]),
    ([1, 5, 5, 2], [1, 1], [2, 2], [0, 0]),
    ([1, 1, 1, 1], [1, 1], [1, 1], [0, 0]),
]


def flat(tensor):
    """Decimal digits enough for float32."""
    return [float(f"{value:.9g}") for value in tensor.detach().contiguous().flatten().tolist()]


def images_first(tensor):
    return tensor.permute(0, 2, 3, 1)


def with_gradient(output, leaves):
    weights = torch.randn_like(output)
    (output * weights).sum().backward()
    return weights, [leaf.grad for leaf in leaves]


def convolution(shape, window, filters, stride, padding):
    n, height, width, channels = shape
    images = torch.randn(n, channels, height, width, requires_grad=True)
    kernel = torch.randn(filters, channels, *window, requires_grad=True)
    output = functional.conv2d(images, kernel, stride=stride, padding=padding)
    weights, (image_gradient, kernel_gradient) = with_gradient(output, [images, kernel])
    return {
        "images": {"shape": shape, "values": flat(images_first(images))},
        "kernel": {"shape": [*window, channels, filters], "values": flat(kernel.permute(2, 3, 1, 0))},
        "stride": stride,
        "padding": padding,
        "outputShape": list(images_first(output).shape),
        "output": flat(images_first(output)),
        "weights": flat(images_first(weights)),
        "imageGradient": flat(images_first(image_gradient)),
        "kernelGradient": flat(kernel_gradient.permute(2, 3, 1, 0)),
    }


def pool(kind, shape, window, stride, padding):
    n, height, width, channels = shape
    # Whole numbers for the maximum: ties are many.
    values = torch.randn(n, channels, height, width)
    images = (values * 2).round() if kind == "maxPool2d" else values
    images.requires_grad_()
    function = functional.max_pool2d if kind == "maxPool2d" else functional.avg_pool2d
    output = function(images, window, stride=stride, padding=padding)
    weights, (image_gradient,) = with_gradient(output, [images])
    return {
        "kind": kind,
        "images": {"shape": shape, "values": flat(images_first(images))},
        "window": window,
        "stride": stride,
        "padding": padding,
        "outputShape": list(images_first(output).shape),
        "output": flat(images_first(output)),
        "weights": flat(images_first(weights)),
        "imageGradient": flat(images_first(image_gradient)),
    }


goldens = {
    "torch": torch.__version__,
    "convolutions": [convolution(*case) for case in CONVOLUTIONS],
    "pools": [pool(kind, *case) for kind in ("maxPool2d", "averagePool2d") for case in POOLS],
}
Path(__file__).with_name("conv.json").write_text(json.dumps(goldens) + "\n")
