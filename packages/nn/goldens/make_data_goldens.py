"""Writes what PyTorch gives for pictures in color and for values to learn beside this file, as JSON.

Needs torch and numpy:

    python3 packages/nn/goldens/make_data_goldens.py
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
SEED = 7
BATCH = 16
STEPS = 20
ENTRIES = 500  # entry i of a tensor is its element (i * 7919) % size, in our layout
ENTRY_STRIDE = 7919

torch.set_num_threads(1)


def words(count, first=0):
    """32-bit numbers that look random: Knuth's multiplicative hash of their positions."""
    return np.arange(first, first + count, dtype=np.uint64) * 2654435761 % 2**32


def floats(count, first=0):
    """From -1 to 1, multiples of 2^-23."""
    return ((words(count, first) >> 8).astype(np.float64) / 2**23 - 1).astype(np.float32)


def ours(tensor, image=None):
    """Flat, with dense weights as [in, out], kernels as [height, width, in, out], flattened images as [height, width, channels]."""
    tensor = tensor.detach()
    if tensor.dim() == 2 and image and tensor.shape[1] == np.prod(image):
        tensor = tensor.reshape(-1, *image).permute(2, 3, 1, 0)
    elif tensor.dim() == 2:
        tensor = tensor.T
    elif tensor.dim() == 4:
        tensor = tensor.permute(2, 3, 1, 0)
    return tensor.contiguous().numpy().reshape(-1)


def number(value):
    return float(str(np.float32(value)))


def described(named, image):
    result = {}
    for name, tensor in named:
        values = ours(tensor, image)
        picked = values if values.size <= ENTRIES else values[[i * ENTRY_STRIDE % values.size for i in range(ENTRIES)]]
        norm = float(np.sqrt((values.astype(np.float64) ** 2).sum()))
        result[name] = {"size": values.size, "norm": norm, "entries": [number(value) for value in picked]}
    return result


def color_cnn(outputs=10):
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5, padding=2),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 16, 5, padding=2),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(16 * 8 * 8, outputs),
    )


def color_mlp():
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)
    )


def table_mlp():
    return torch.nn.Sequential(torch.nn.Linear(4, 128), torch.nn.ReLU(), torch.nn.Linear(128, 2))


def pictures(step):
    size = BATCH * 32 * 32 * 3
    pixels = torch.from_numpy((words(size, step * size) >> 24).astype(np.uint8)).reshape(BATCH, 32, 32, 3)
    return pixels.permute(0, 3, 1, 2).to(torch.float32) / 255, torch.from_numpy(np.arange(BATCH) * 7 % 10)


def table(step):
    rows = torch.from_numpy(floats(BATCH * 4, step * BATCH * 4)).reshape(BATCH, 4)
    return rows, torch.from_numpy(floats(BATCH * 2, 10**6 + step * BATCH * 2)).reshape(BATCH, 2)


def run(make, batch, loss_of, image=None):
    """Initial parameters, the gradient of the first batch, and the losses and parameters of SGD with momentum."""
    torch.manual_seed(SEED)
    model = make()
    flat = np.concatenate([ours(parameter, image) for parameter in model.parameters()]).astype("<f4")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    gradient, losses = None, []
    for step in range(STEPS):
        samples, targets = batch(step)
        optimizer.zero_grad()
        outputs = model(samples)
        loss = loss_of(outputs, targets)
        loss.backward()
        if step == 0:
            correct = int((outputs.argmax(1) == targets).sum()) if targets.dim() == 1 else 0
            named = ((name, parameter.grad) for name, parameter in model.named_parameters())
            gradient = {"loss": loss.item(), "correct": correct, "parameters": described(named, image)}
        optimizer.step()
        losses.append(loss.item())
    return {
        "initialSha256": hashlib.sha256(flat.tobytes()).hexdigest(),
        "gradient": gradient,
        "training": {"momentum": 0.9, "losses": losses, "parameters": described(model.named_parameters(), image)},
    }


def frozen_run():
    """Losses and parameters of the color cnn whose first convolution is frozen: AdamW decays, clipping sees, only the rest."""
    torch.manual_seed(SEED)
    model = color_cnn()
    model[0].requires_grad_(False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.01, weight_decay=0.1)
    losses = []
    for step in range(STEPS // 2):
        samples, targets = pictures(step)
        optimizer.zero_grad()
        loss = CLASSES(model(samples), targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 0.5)
        optimizer.step()
        losses.append(loss.item())
    return {"clipNorm": 0.5, "weightDecay": 0.1, "losses": losses, "parameters": described(model.named_parameters(), [16, 8, 8])}


CLASSES = torch.nn.functional.cross_entropy
VALUES = torch.nn.MSELoss(reduction="mean")
GOLDENS = {
    "torch": torch.__version__,
    "seed": SEED,
    "batch": BATCH,
    "learningRate": 0.01,
    "colorCnn": run(color_cnn, pictures, CLASSES, [16, 8, 8]),
    "colorMlp": run(color_mlp, pictures, CLASSES, [3, 32, 32]),
    "tableValues": run(table_mlp, table, VALUES),
    "frozenCnn": frozen_run(),
}
(HERE / "data.json").write_text(json.dumps(GOLDENS, separators=(",", ":")) + "\n")
