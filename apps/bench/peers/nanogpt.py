"""nanoGPT's model, and its CPU setting as a program: the validation loss that Lockstep's `gpt` is compared with.

    python3 nanogpt.py TEXT [--steps 2000] [--seed 1] [--threads N]

TEXT is a file of UTF-8, whose characters, sorted, are the vocabulary. Windows of 65 characters start every 64. The last
tenth of them is the validation split; an epoch takes the others in random order. Prints the loss on the whole validation
split every 500 steps. `nanogpt.json` names a text and has its losses.
"""

import argparse
import json
import math
import time

import torch
from torch import nn
from torch.nn import functional


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)
        self.heads = heads

    def forward(self, x):
        samples, positions, width = x.shape
        parts = self.c_attn(x).split(width, dim=2)
        q, k, v = (part.view(samples, positions, self.heads, -1).transpose(1, 2) for part in parts)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).reshape(samples, positions, width))


class FeedForward(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x):
        return self.c_proj(functional.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """Tokens [samples, positions] to logits [samples, positions, tokens]; the output's weights are the embedding's."""

    def __init__(self, tokens, positions, width, layers, heads):
        super().__init__()
        self.wte = nn.Embedding(tokens, width)
        self.wpe = nn.Embedding(positions, width)
        self.h = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.dim() > 1:
                is_residual = name.endswith("c_proj.weight")
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if is_residual else 0.02)

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        return functional.linear(self.ln_f(x), self.wte.weight)


def mean_loss(logits, targets):
    return functional.cross_entropy(logits.flatten(0, -2), targets.flatten())


# --block_size=64 --batch_size=12 --n_layer=4 --n_head=4 --n_embd=128 --dropout=0.0, of config/train_shakespeare_char.py
CONTEXT, BATCH, LAYERS, HEADS, WIDTH = 64, 12, 4, 4, 128
RATE, LEAST_RATE, WARM_UP, DECAY, BETAS, CLIP = 1e-3, 1e-4, 100, 0.1, (0.9, 0.99), 1.0


def rate_at(step, steps):
    if step < WARM_UP:
        return RATE * (step + 1) / (WARM_UP + 1)
    ratio = (step - WARM_UP) / max(1, steps - WARM_UP)
    return LEAST_RATE + 0.5 * (1 + math.cos(math.pi * ratio)) * (RATE - LEAST_RATE)


def evaluate(model, windows):
    with torch.no_grad():
        losses = [mean_loss(model(part[:, :-1]), part[:, 1:]).item() * len(part) for part in windows.split(256)]
    return sum(losses) / len(windows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    with open(options.text, encoding="utf-8", newline="") as file:
        text = file.read()
    characters = sorted(set(text))
    numbers = {character: number for number, character in enumerate(characters)}
    tokens = torch.tensor([numbers[character] for character in text])
    windows = tokens.unfold(0, CONTEXT + 1, CONTEXT).clone()
    train, validation = windows[: -round(len(windows) / 10)], windows[-round(len(windows) / 10) :]

    model = GPT(len(characters), CONTEXT, WIDTH, LAYERS, HEADS)
    groups = [
        {"params": [each for each in model.parameters() if each.dim() >= 2], "weight_decay": DECAY},
        {"params": [each for each in model.parameters() if each.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=BETAS)
    order, seconds, losses = torch.empty(0, dtype=torch.int64), 0.0, {}
    for step in range(options.steps):
        started = time.perf_counter()
        if len(order) < BATCH:
            order = torch.randperm(len(train))
        batch, order = train[order[:BATCH]], order[BATCH:]
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, options.steps)
        optimizer.zero_grad()
        mean_loss(model(batch[:, :-1]), batch[:, 1:]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        seconds += time.perf_counter() - started
        if (step + 1) % 500 == 0 or step + 1 == options.steps:
            losses[step + 1] = round(evaluate(model, validation), 4)
            print(f"step {step + 1}: {losses[step + 1]}", flush=True)
    print(
        json.dumps(
            {
                "torch": torch.__version__,
                "seed": options.seed,
                "characters": len(characters),
                "windows": [len(train), len(validation)],
                "parameters": sum(each.numel() for each in model.parameters()),
                "validationLoss": losses,
                "msPerStep": round(1e3 * seconds / options.steps, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
