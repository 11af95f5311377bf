"""The work of a peer script on PyTorch: the nets, and parameters and batches as they come over stdin.

A header {"batch", "batches", "net": "mlp", "cnn" or "gpt", "shapes", "heads"} says what follows it: the initial parameters
(float32, in these shapes: weights [in, out], kernels [height, width, in, out], a flattened image [height, width,
channels], embeddings [tokens, width]), all pixels (u8), all labels (u8). For gpt, windows of tokens (u8) take the place of
both.
"""

import base64
import math


def read_floats(torch, stream, count):
    return torch.frombuffer(bytearray(stream.read(4 * count)), dtype=torch.float32)


def make_net(torch, request):
    name, shapes, nn = request["net"], request["shapes"], torch.nn
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
    if name == "gpt":
        from nanogpt import GPT

        (tokens, width), (positions, _) = shapes[:2]
        return GPT(tokens, positions, width, sum(shape == [width, 3 * width] for shape in shapes), request["heads"])
    raise ValueError(f"net: mlp, cnn or gpt expected, got {name}")


def is_embedding(index, name):
    return name == "gpt" and index < 2


def to_pytorch(tensor, index, name):
    """Parameter `index` in PyTorch's order of axes: weights [out, in], kernels [out, in, height, width]."""
    if is_embedding(index, name):
        return tensor
    if tensor.dim() == 4:
        return tensor.permute(3, 2, 0, 1)
    if tensor.dim() == 2 and name == "cnn":
        # The bench flattens an image as [height, width, channels], PyTorch as [channels, height, width].
        return tensor.reshape(7, 7, 16, -1).permute(3, 2, 0, 1).reshape(tensor.shape[1], -1)
    return tensor.T if tensor.dim() == 2 else tensor


def from_pytorch(tensor, index, name):
    """The way back from `to_pytorch`."""
    if is_embedding(index, name):
        return tensor
    if tensor.dim() == 4:
        return tensor.permute(2, 3, 1, 0)
    if tensor.dim() == 2 and name == "cnn":
        return tensor.reshape(-1, 16, 7, 7).permute(2, 3, 1, 0).reshape(-1, tensor.shape[0])
    return tensor.T if tensor.dim() == 2 else tensor


def read_work(torch, stream, header):
    """The initial parameters in PyTorch's order, and the batches as (images or tokens, targets), ready to compute with."""
    batch, count, name = header["batch"], header["batches"], header["net"]
    initial = []
    for index, shape in enumerate(header["shapes"]):
        values = read_floats(torch, stream, math.prod(shape)).view(shape)
        initial.append(to_pytorch(values, index, name).contiguous())
    if name == "gpt":
        length = header["shapes"][1][0] + 1
        windows = torch.frombuffer(bytearray(stream.read(count * batch * length)), dtype=torch.uint8)
        windows = windows.to(torch.int64).view(count, batch, length)
        return initial, [(tokens[:, :-1].clone(), tokens[:, 1:].clone()) for tokens in windows]
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
    flat = torch.cat([from_pytorch(part, index, name).reshape(-1) for index, part in enumerate(net.parameters())])
    return base64.b64encode(flat.detach().numpy().tobytes()).decode("ascii")
