"""Writes what PyTorch gives for small models of text beside this file, as JSON and as a safetensors file.

Needs torch and safetensors:

    python3 packages/nn/goldens/make_sequence_goldens.py
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).resolve().parent
SAMPLES = 4
STEPS = 3
GENERATED = 200

torch.set_num_threads(1)


class Positions(nn.Module):
    def __init__(self, count, width):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count, width))

    def forward(self, x):
        return x + self.weight[: x.shape[1]]


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        queries, keys, values = (
            part.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.c_attn(x).split(width, dim=2)
        )
        mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        return self.c_proj(mixed.transpose(1, 2).reshape(batch, length, width))


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class LSTM(nn.LSTM):
    def forward(self, x):
        return super().forward(x)[0]


class GRU(nn.GRU):
    def forward(self, x):
        return super().forward(x)[0]


class Tied(nn.Sequential):
    """Layers whose last output is scored by the embedding's weight."""

    def forward(self, tokens):
        return super().forward(tokens) @ self[0].weight.T


def block(width, heads):
    return [
        Residual(nn.LayerNorm(width), Attention(width, heads)),
        Residual(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)),
    ]


def transformer(tokens, context, width=16, heads=2, blocks=2):
    layers = [layer for _ in range(blocks) for layer in block(width, heads)]
    return Tied(nn.Embedding(tokens, width), Positions(context, width), *layers, nn.LayerNorm(width))


def recurrent(kind, tokens, width=6, units=9):
    return nn.Sequential(nn.Embedding(tokens, width), kind(width, units, batch_first=True), nn.Linear(units, tokens))


def mixed(tokens, width=8):
    attention = Residual(nn.LayerNorm(width), Attention(width, 2))
    return Tied(
        nn.Embedding(tokens, width), LSTM(width, width, batch_first=True), attention, nn.Linear(width, width), nn.Tanh()
    )


def decaying(model):
    """AdamW as in nanoGPT: only tensors of two or more dimensions decay.

    The gradient of attention's key biases is 0 but for rounding, which a smaller eps would amplify.
    """
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0}]
    return torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.99), eps=1e-4)


def greedy(model, prompt, context):
    """Continues with the most likely token; one that does not fit makes the text forget half a context."""
    window, generated = list(prompt), []
    while len(generated) < GENERATED:
        token = int(model(torch.tensor([window]))[0, -1].argmax())
        window.append(token)
        if len(window) > context:
            window = window[(context + 1) // 2 :]
        generated.append(token)
    return generated


def trained(model, context, tokens):
    """Learns a text of random tokens, so that what it generates is no short cycle."""
    text = torch.randint(0, tokens, (150,))
    windows = text.unfold(0, context + 1, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(600):
        outputs = model(windows[:, :-1])
        loss = F.cross_entropy(outputs.reshape(-1, tokens), windows[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print("text learned to a loss of", float(loss.detach()))
    return text[:3].tolist()


LAYERS = ["ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"]


def named(model, values):
    """Names the tensors of a transformer as GPT-2 does, which stores matrices as [in, out]."""
    if not isinstance(model[1], Positions):
        return values
    blocks = (len(model) - 3) // 2
    layers = ["wte", "wpe", *(f"h.{block}.{layer}" for block in range(blocks) for layer in LAYERS), "ln_f"]
    parts = [f"{layer}.{part}" for layer in layers for part in ("weight", "bias") if layer[0] != "w" or part == "weight"]
    return {
        f"transformer.{part}": value.T if ".c_" in part and value.dim() == 2 else value
        for part, value in zip(parts, values.values(), strict=True)
    }


def run(name, make, context, tokens, lines=False, slides=True):
    torch.manual_seed(7)
    model = make(tokens)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    samples = torch.randint(1 if lines else 0, tokens, (SAMPLES, context + 1))
    x, targets = samples[:, :-1].clone(), samples[:, 1:].clone()
    if lines:
        for sample in range(SAMPLES):
            length = 2 + 3 * sample
            samples[sample, 0] = 0
            samples[sample, length + 1 :] = 0
        x, targets = samples[:, :-1].clone(), samples[:, 1:].clone()
        for sample in range(SAMPLES):
            targets[sample, 3 + 3 * sample :] = -1
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = decaying(model)
    losses, logits, gradients, correct = [], None, None, 0
    for step in range(STEPS):
        outputs = model(x)
        loss = F.cross_entropy(outputs.reshape(-1, tokens), targets.reshape(-1), ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            logits = outputs.detach().clone()
            correct = int(((outputs.argmax(-1) == targets) & (targets >= 0)).sum())
            gradients = {key: value.grad.clone() for key, value in model.named_parameters()}
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    after = {key: value.clone() for key, value in model.state_dict().items()}
    tensors = {
        f"{name} {part} {key}": value.contiguous()
        for part, values in [("weights", weights), ("gradient", gradients), ("after", after)]
        for key, value in named(model, values).items()
    }
    tensors[f"{name} logits"] = logits
    golden = {
        "samples": samples.tolist(),
        "positions": int((targets >= 0).sum()) / SAMPLES,
        "correct": correct,
        "losses": losses,
    }
    if not lines:
        prompt = trained(model, context, tokens)
        golden["prompt"] = prompt
        golden["generated"] = greedy(model, prompt, context if slides else 10**9)
        learned = named(model, model.state_dict())
        tensors.update({f"{name} trained {key}": value.contiguous() for key, value in learned.items()})
    return golden, tensors


MODELS = {
    "gpt-nano": lambda: run("gpt-nano", lambda tokens: transformer(tokens, 16), 16, 27),
    "lines": lambda: run("lines", lambda tokens: transformer(tokens, 16, 8, 2, 1), 16, 27, lines=True),
    "lstm": lambda: run("lstm", lambda tokens: recurrent(LSTM, tokens), 8, 11, slides=False),
    "gru": lambda: run("gru", lambda tokens: recurrent(GRU, tokens), 8, 11, slides=False),
    "mixed": lambda: run("mixed", mixed, 8, 11),
}

goldens, tensors = {}, {}
for name, make in MODELS.items():
    goldens[name], own = make()
    tensors.update(own)
(HERE / "sequences.json").write_text(json.dumps(goldens, separators=(",", ":")))
save_file(tensors, HERE / "sequences.safetensors")
