"""Training steps on PyTorch, CPU, by one rank of a group of processes; gloo joins several.

argv:   rank, number of ranks, path of a file that does not exist yet, over which the ranks find each other.
stdin:  one JSON line a request; stdout: one JSON line an answer, the first without a request: {"absent": sentence} when
        torch or gloo is missing, else {"version"}.
        {"do": "open", "batch", "batches", "learningRate", "net", "shapes", "heads"}, then the work as raw bytes (pytorch_work.py)
        -> {}: makes a net for each mode.
        {"do": "reset", "mode"} -> {}, {"do": "run", "mode", "steps": n, "threads": n} -> {"ms": x}, {"do": "result",
        "mode"} -> {"base64": parameters as float32}; mode is "single" or "threads", which this process computes alone, or
        "ddp", under DistributedDataParallel, which every rank must be asked for at once: each then takes its share of every
        batch. threads are those within an operation.
The end of stdin ends the process.
"""

import json
import signal
import sys
import time

from pytorch_work import make_net, parameters_as_base64, read_work, set_parameters


def answer(message):
    print(json.dumps(message), flush=True)


class Trainer:
    """A net, the batches that this process feeds it, and its optimizer."""

    def __init__(self, torch, net, forward, batches, learning_rate):
        self.torch = torch
        self.net = net
        self.forward = forward
        self.batches = batches
        self.optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate)
        self.taken = 0

    def reset(self, initial):
        self.taken = 0
        set_parameters(self.torch, self.net, initial)

    def run(self, steps):
        started = time.perf_counter()
        for _ in range(steps):
            x, y = self.batches[self.taken % len(self.batches)]
            self.taken += 1
            self.optimizer.zero_grad()
            scores = self.forward(x).flatten(0, -2)
            self.torch.nn.functional.cross_entropy(scores, y.flatten()).backward()
            self.optimizer.step()
        return (time.perf_counter() - started) * 1e3


def make_trainers(torch, request, batches, rank, ranks):
    def new_net():
        return make_net(torch, request)

    trainers = {}
    for mode in ("single", "threads"):
        net = new_net()
        trainers[mode] = Trainer(torch, net, net, batches, request["learningRate"])
    if ranks > 1:
        share = request["batch"] // ranks
        mine = [(x[rank * share : (rank + 1) * share], y[rank * share : (rank + 1) * share]) for x, y in batches]
        net = new_net()
        forward = torch.nn.parallel.DistributedDataParallel(net)
        trainers["ddp"] = Trainer(torch, net, forward, mine, request["learningRate"])
    return trainers


def main():
    # Ctrl-C reaches the whole process group; the benchmark closes stdin, which ends this process quietly.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    rank, ranks = int(sys.argv[1]), int(sys.argv[2])
    try:
        import torch
        import torch.distributed as distributed

        if ranks > 1 and not (distributed.is_available() and distributed.is_gloo_available()):
            raise ImportError("this build of PyTorch has no gloo")
    except ImportError as error:
        answer({"absent": str(error)})
        return
    torch.set_num_threads(1)
    if ranks > 1:
        distributed.init_process_group("gloo", init_method=f"file://{sys.argv[3]}", rank=rank, world_size=ranks)
    answer({"version": torch.__version__})

    stream = sys.stdin.buffer
    trainers, initial, name = {}, [], ""
    for line in stream:
        request = json.loads(line)
        if request["do"] == "open":
            name = request["net"]
            initial, batches = read_work(torch, stream, request)
            trainers = make_trainers(torch, request, batches, rank, ranks)
            answer({})
            continue
        trainer = trainers[request["mode"]]
        if request["do"] == "reset":
            trainer.reset(initial)
            answer({})
        elif request["do"] == "run":
            if request["mode"] == "ddp":
                distributed.barrier()
            torch.set_num_threads(request["threads"])
            answer({"ms": trainer.run(request["steps"])})
        elif request["do"] == "result":
            answer({"base64": parameters_as_base64(torch, trainer.net, name)})
        else:
            raise ValueError(f"request: open, reset, run or result expected, got {request['do']}")
    if ranks > 1:
        distributed.destroy_process_group()


main()
