"""The work of a peer script on PyTorch: the nets, and parameters and batches as they come over stdin.

A header {"batch", "batches", "net": "mlp" or "cnn", "shapes"} says what follows it: the initial parameters (float32, in
these shapes: weights [in, out], kernels [height, width, in, out], a flattened image [height, width, channels]), all pixels
(u8), all labels (u8).
"""

import base64
import math


def read_floats(torch, stream, count):
    return torch.frombuffer(bytearray(stream.read(4 * count)), dtype=torch.float32)


def make_net(torch, name, shapes):
    nn = torch.nn
    if name == "mlp":
        (inputs, hidden), _, (_, classes), _ = shapes
        return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))
    if name == "cnn":
        return nn.Sequential(
            nn.Conv2d(1, 8, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(784, 10),
        )
    raise ValueError(f"net: mlp or cnn expected, got {name}")


def to_pytorch(tensor, name):
    """From the bench's order of axes to PyTorch's: weights [out, in], kernels [out, in, height, width]."""
    if tensor.dim() == 4:
        return tensor.permute(3, 2, 0, 1)
    if tensor.dim() == 2 and name == "cnn":
        # The bench flattens an image as [height, width, channels], PyTorch as [channels, height, width].
        return tensor.reshape(7, 7, 16, -1).permute(3, 2, 0, 1).reshape(tensor.shape[1], -1)
    return tensor.T if tensor.dim() == 2 else tensor


def from_pytorch(tensor, name):
    """The way back from `to_pytorch`."""
    if tensor.dim() == 4:
        return tensor.permute(2, 3, 1, 0)
    if tensor.dim() == 2 and name == "cnn":
        return tensor.reshape(-1, 16, 7, 7).permute(2, 3, 1, 0).reshape(-1, tensor.shape[0])
    return tensor.T if tensor.dim() == 2 else tensor


def read_work(torch, stream, header):
    """The initial parameters in PyTorch's order, and the batches as (images, targets), ready as float32."""
    batch, count, name = header["batch"], header["batches"], header["net"]
    initial = []
    for shape in header["shapes"]:
        values = read_floats(torch, stream, math.prod(shape)).view(shape)
        initial.append(to_pytorch(values, name).contiguous())
    pixels = torch.frombuffer(bytearray(stream.read(count * batch * 784)), dtype=torch.uint8)
    labels = torch.frombuffer(bytearray(stream.read(count * batch)), dtype=torch.uint8)
    sample = [1, 28, 28] if name == "cnn" else [784]
    images = (pixels.to(torch.float32) / 255).view(count, batch, *sample)
    targets = labels.to(torch.int64).view(count, batch)
    return initial, [(images[index].clone(), targets[index].clone()) for index in range(count)]


def set_parameters(torch, net, values):
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), values):
            parameter.copy_(value)


def parameters_as_base64(torch, net, name):
    flat = torch.cat([from_pytorch(part, name).reshape(-1) for part in net.parameters()])
    return base64.b64encode(flat.detach().numpy().tobytes()).decode("ascii")
