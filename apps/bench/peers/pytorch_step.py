"""The 784-128-10 gradient step on PyTorch, CPU, one thread: a child process that answers over stdout.

stdin:  one JSON line {"batch", "batches", "learningRate", "sizes": [inputs, hidden, classes]}, then raw bytes: the initial
        parameters (float32, weights [in, out]), all pixels (u8), all labels (u8); then one JSON line a request.
stdout: one JSON line an answer. {"absent": sentence} when torch cannot be imported, else {"version", "notes"}, then
        {"do": "reset"} -> {}, {"do": "run", "steps": n} -> {"ms": x}, {"do": "result"} -> {"base64": parameters as float32}.
The end of stdin ends the process.
"""

import base64
import json
import signal
import sys
import time


def answer(message):
    print(json.dumps(message), flush=True)


def read_floats(torch, stream, count):
    return torch.frombuffer(bytearray(stream.read(4 * count)), dtype=torch.float32)


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
    inputs, hidden, classes = header["sizes"]
    initial = [
        read_floats(torch, stream, inputs * hidden).view(inputs, hidden).T.contiguous(),
        read_floats(torch, stream, hidden),
        read_floats(torch, stream, hidden * classes).view(hidden, classes).T.contiguous(),
        read_floats(torch, stream, classes),
    ]
    pixels = torch.frombuffer(bytearray(stream.read(count * batch * inputs)), dtype=torch.uint8)
    labels = torch.frombuffer(bytearray(stream.read(count * batch)), dtype=torch.uint8)
    images = (pixels.to(torch.float32) / 255).view(count, batch, inputs)
    targets = labels.to(torch.int64).view(count, batch)
    batches = [(images[index].clone(), targets[index].clone()) for index in range(count)]

    net = torch.nn.Sequential(torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, classes))
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
            # Linear keeps its weight as [out, in], the bench as [in, out].
            flat = torch.cat([(part.T if part.dim() == 2 else part).reshape(-1) for part in net.parameters()])
            answer({"base64": base64.b64encode(flat.detach().numpy().tobytes()).decode("ascii")})
        else:
            raise ValueError(f"request: reset, run or result expected, got {request['do']}")


main()
