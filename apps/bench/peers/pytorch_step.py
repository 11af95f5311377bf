"""The training step on PyTorch, CPU, one thread: a child process that answers over stdout.

stdin:  one JSON line {"batch", "batches", "learningRate", "net": "mlp" or "cnn", "shapes"}, then raw bytes: the initial
        parameters (float32, in these shapes: weights [in, out], kernels [height, width, in, out], a flattened image
        [height, width, channels]), all pixels (u8), all labels (u8); then one JSON line a request.
stdout: one JSON line an answer. {"absent": sentence} when torch cannot be imported, else {"version", "notes"}, then
        {"do": "reset"} -> {}, {"do": "run", "steps": n} -> {"ms": x}, {"do": "result"} -> {"base64": parameters as float32}.
The end of stdin ends the process.
"""

import base64
import json
import math
import signal
import sys
import time


def answer(message):
    print(json.dumps(message), flush=True)


def read_floats(torch, stream, count):
    return torch.frombuffer(bytearray(stream.read(4 * count)), dtype=torch.float32)


def make_net(torch, name):
    nn = torch.nn
    if name == "mlp":
        return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
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


def main():
    # Ctrl-C reaches the whole process group; the bench closes stdin, which ends this process quietly.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import torch
    except ImportError as error:
        answer({"absent": str(error)})
        return
    torch.set_num_threads(1)

    stream = sys.stdin.buffer
    header = json.loads(stream.readline())
    batch, count, rate = header["batch"], header["batches"], header["learningRate"]
    name = header["net"]
    initial = []
    for shape in header["shapes"]:
        values = read_floats(torch, stream, math.prod(shape)).view(shape)
        initial.append(to_pytorch(values, name).contiguous())
    pixels = torch.frombuffer(bytearray(stream.read(count * batch * 784)), dtype=torch.uint8)
    labels = torch.frombuffer(bytearray(stream.read(count * batch)), dtype=torch.uint8)
    sample = [1, 28, 28] if name == "cnn" else [784]
    images = (pixels.to(torch.float32) / 255).view(count, batch, *sample)
    targets = labels.to(torch.int64).view(count, batch)
    batches = [(images[index].clone(), targets[index].clone()) for index in range(count)]

    net = make_net(torch, name)
    parameters = list(net.parameters())
    optimizer = torch.optim.SGD(parameters, lr=rate)
    taken = 0
    answer({"version": torch.__version__, "notes": [f"{torch.get_num_threads()} thread", "eager, torch.optim.SGD"]})

    for line in stream:
        request = json.loads(line)
        if request["do"] == "reset":
            taken = 0
            with torch.no_grad():
                for parameter, start in zip(parameters, initial):
                    parameter.copy_(start)
            answer({})
        elif request["do"] == "run":
            started = time.perf_counter()
            for _ in range(request["steps"]):
                x, y = batches[taken % count]
                taken += 1
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()
            answer({"ms": (time.perf_counter() - started) * 1e3})
        elif request["do"] == "result":
            flat = torch.cat([from_pytorch(part, name).reshape(-1) for part in net.parameters()])
            answer({"base64": base64.b64encode(flat.detach().numpy().tobytes()).decode("ascii")})
        else:
            raise ValueError(f"request: reset, run or result expected, got {request['do']}")


main()
