"""Writes extremes.json: PyTorch's values and derivatives of elementwise ops at extreme arguments. Needs torch only here.

Each is computed in float64 and rounded to float32, so that only a true overflow or underflow shows. The derivative of an op
of one argument at infinity is its limit, taken at 1e100.
"""
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F

inf = math.inf
magnitudes = [0.0, 2.0**-149, 1e-40, 1e-30, 1e-10, 0.5, 1.0, 5.0, 15.0, 17.0, 50.0, 88.0, 100.0, 1e4, 1e10, 1e14, 2e19, 1e30, 3e38, inf]
few = [0.0, 1e-40, 1e-30, 0.5, 1.0, 3.0, 1e14, 1e30, inf]
# Other exponents are no longer exact once 1 is taken from them in float32.
bases = [0.0, 1e-30, 0.5, 1.0, 3.0, 1e30, inf]


def signed(values):
    return [sign * x for x in values for sign in (1.0, -1.0)]


class Softsign(torch.autograd.Function):
    """PyTorch's own derivative cancels: at 1e14 it is off by half a percent in float64."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x / (1 + x.abs())

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g / (1 + x.abs()) ** 2


unary = {
    "relu": F.relu,
    "leakyRelu": F.leaky_relu,
    "softsign": Softsign.apply,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "normalCdf": torch.special.ndtr,
    "gelu": F.gelu,
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "neg": torch.neg,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "abs": torch.abs,
    "clamp": lambda x: x.clamp(-0.25, 1e12),
}
binary = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "pow": torch.pow,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}


def numbers(values):
    def number(value):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return float(f"{value:.9g}")

    return [number(value) for value in values.detach().float().tolist()]


def case(compute, columns):
    """`columns` are the arguments, as the float32 that the engine computes with."""
    arguments = [torch.tensor(column, dtype=torch.float32).double() for column in columns]
    finite = [torch.where(x.isinf(), x.sign() * 1e100, x) for x in arguments]
    leaves = [x.clone().requires_grad_(True) for x in (finite if len(columns) == 1 else arguments)]
    compute(*leaves).sum().backward()
    return {"arguments": [numbers(x) for x in arguments], "values": numbers(compute(*arguments)), "derivatives": [numbers(x.grad) for x in leaves]}


cases = {name: case(compute, [signed(magnitudes)]) for name, compute in unary.items()}
for name, compute in binary.items():
    grid = signed(bases if name == "pow" else few)
    cases[name] = case(compute, list(zip(*((x, y) for x in grid for y in grid))))
Path(__file__).with_name("extremes.json").write_text(json.dumps(cases) + "\n")
