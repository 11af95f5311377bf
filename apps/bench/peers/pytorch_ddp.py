"""Training steps on PyTorch, CPU, by one rank of a group of processes joined by gloo, one thread each.

argv:   rank, number of ranks, path of a file that does not exist yet, over which the ranks find each other.
stdin:  one JSON line a request; stdout: one JSON line an answer, the first without a request: {"absent": sentence} when
        torch or gloo is missing, else {"version"}.
        {"do": "open", "batch", "batches", "learningRate", "net", "shapes"}, then the work as raw bytes (pytorch_work.py)
        -> {}: makes a net for this process alone, and the same net under DistributedDataParallel.
        {"do": "reset", "who"} -> {}, {"do": "run", "who", "steps": n} -> {"ms": x}, {"do": "result", "who"} ->
        {"base64": parameters as float32}; who is "alone", which only this process computes, or "together", which every rank
        must be asked for at once: each then takes its share of every batch.
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
    rank, ranks = int(sys.argv[1]), int(sys.argv[2])
    try:
        import torch
        import torch.distributed as distributed

        if not distributed.is_available() or not distributed.is_gloo_available():
            raise ImportError("this build of PyTorch has no gloo")
    except ImportError as error:
        answer({"absent": str(error)})
        return
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{sys.argv[3]}", rank=rank, world_size=ranks)
    answer({"version": torch.__version__})

    stream = sys.stdin.buffer
    crews = {}
    initial, batches, name = [], [], ""
    for line in stream:
        request = json.loads(line)
        if request["do"] == "open":
            name = request["net"]
            initial, batches = read_work(torch, stream, request)
            share = request["batch"] // ranks
            mine = [(x[rank * share : (rank + 1) * share], y[rank * share : (rank + 1) * share]) for x, y in batches]
            alone, together = (make_net(torch, name, request["shapes"]) for _ in range(2))
            crews = {}
            for who, net, forward, data in [
                ("alone", alone, alone, batches),
                ("together", together, torch.nn.parallel.DistributedDataParallel(together), mine),
            ]:
                optimizer = torch.optim.SGD(net.parameters(), lr=request["learningRate"])
                crews[who] = {"net": net, "forward": forward, "data": data, "optimizer": optimizer, "taken": 0}
            answer({})
            continue
        crew = crews[request["who"]]
        if request["do"] == "reset":
            crew["taken"] = 0
            set_parameters(torch, crew["net"], initial)
            answer({})
        elif request["do"] == "run":
            forward, optimizer, data = crew["forward"], crew["optimizer"], crew["data"]
            if request["who"] == "together":
                distributed.barrier()
            started = time.perf_counter()
            for _ in range(request["steps"]):
                x, y = data[crew["taken"] % len(data)]
                crew["taken"] += 1
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(forward(x), y)
                loss.backward()
                optimizer.step()
            answer({"ms": (time.perf_counter() - started) * 1e3})
        elif request["do"] == "result":
            answer({"base64": parameters_as_base64(torch, crew["net"], name)})
        else:
            raise ValueError(f"request: open, reset, run or result expected, got {request['do']}")
    distributed.destroy_process_group()


main()
