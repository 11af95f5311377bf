"""The training step on PyTorch, CPU, one thread: a child process that answers over stdout.

stdin:  one JSON line {"batch", "batches", "learningRate", "net": "mlp" or "cnn", "shapes"}, then the work as raw bytes
        (pytorch_work.py); then one JSON line a request.
stdout: one JSON line an answer. {"absent": sentence} when torch cannot be imported, else {"version", "notes"}, then
        {"do": "reset"} -> {}, {"do": "run", "steps": n} -> {"ms": x}, {"do": "result"} -> {"base64": parameters as float32}.
The end of stdin ends the process.
"""

import json
import signal
import sys
import time

from pytorch_work import make_net, parameters_as_base64, read_work, set_parameters


def answer(message):
    print(json.dumps(message), flush=True)


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
    name = header["net"]
    initial, batches = read_work(torch, stream, header)
    net = make_net(torch, name, header["shapes"])
    optimizer = torch.optim.SGD(net.parameters(), lr=header["learningRate"])
    taken = 0
    answer({"version": torch.__version__, "notes": [f"{torch.get_num_threads()} thread", "eager, torch.optim.SGD"]})

    for line in stream:
        request = json.loads(line)
        if request["do"] == "reset":
            taken = 0
            set_parameters(torch, net, initial)
            answer({})
        elif request["do"] == "run":
            started = time.perf_counter()
            for _ in range(request["steps"]):
                x, y = batches[taken % len(batches)]
                taken += 1
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()
            answer({"ms": (time.perf_counter() - started) * 1e3})
        elif request["do"] == "result":
            answer({"base64": parameters_as_base64(torch, net, name)})
        else:
            raise ValueError(f"request: reset, run or result expected, got {request['do']}")


main()
