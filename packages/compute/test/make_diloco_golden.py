"""Writes diloco-golden.json: two rounds of DiLoCo by PyTorch, on the small model of the simulator.

Run as `python make_diloco_golden.py` with torch installed; the result is checked in.
"""
import json
from pathlib import Path

import torch

torch.manual_seed(5)
torch.set_default_dtype(torch.float32)
# More inner steps than one turn of a replica takes, so that a turn has to continue the previous one.
replica_size, inner_batch = 82, 4
inner = {"lr": 0.1, "momentum": 0.9}
outer = {"lr": 0.7, "momentum": 0.9, "nesterov": True}
# The last of three replicas is short, and so is the last inner step of each.
samples = torch.rand(190, 4) * 2 - 1
labels = torch.randint(0, 3, (190,))


def make_model():
    return torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))


def flat(parameters):
    """Flattens in Lockstep's order and layout: a dense kernel is [inputs, outputs]."""
    return [value for p in parameters for value in (p.t() if p.dim() == 2 else p).reshape(-1).tolist()]


model = make_model()
golden = {
    "samples": samples.reshape(-1).tolist(),
    "labels": labels.tolist(),
    "innerSteps": {"batch": inner_batch, "learningRate": inner["lr"], "momentum": inner["momentum"]},
    "replicaSize": replica_size,
    "outer": {"learningRate": outer["lr"], "momentum": outer["momentum"]},
    "before": flat(model.parameters()),
    "after": [],
}
optimizer = torch.optim.SGD(model.parameters(), **outer)
for _ in range(2):
    taken = [torch.zeros_like(p) for p in model.parameters()]
    starts = range(0, len(labels), replica_size)
    for first in starts:
        replica = make_model()
        replica.load_state_dict(model.state_dict())
        inner_optimizer = torch.optim.SGD(replica.parameters(), **inner)
        last = min(len(labels), first + replica_size)
        for start in range(first, last, inner_batch):
            end = min(last, start + inner_batch)
            inner_optimizer.zero_grad()
            torch.nn.functional.cross_entropy(replica(samples[start:end]), labels[start:end]).backward()
            inner_optimizer.step()
        for total, before, after in zip(taken, model.parameters(), replica.parameters()):
            total += (before - after).detach()
    for parameter, total in zip(model.parameters(), taken):
        parameter.grad = total / len(starts)
    optimizer.step()
    golden["after"].append(flat(model.parameters()))

Path(__file__).with_name("diloco-golden.json").write_text(json.dumps(golden) + "\n")
