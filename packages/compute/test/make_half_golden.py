"""Writes half-golden.json: float32 values and what PyTorch's conversion to half precision makes of them.

Run as `python make_half_golden.py` with torch installed; the result is checked in.
"""
import json
from pathlib import Path

import torch

torch.manual_seed(3)
# Every exponent of a half, and those below, down to where all become 0.
exponents = torch.randint(-30, 16, (150,)).double()
random = ((1 + torch.rand(150).double()) * 2**exponents).float()
# Halves, the numbers half way between two neighbors, and the float32 numbers next to those.
steps = torch.randint(0, 31_000, (60,)).short()
lower, upper = steps.view(torch.half).float(), (steps + 1).view(torch.half).float()
ties = (lower + upper) / 2
infinity = torch.full_like(ties, float("inf"))
edges = torch.tensor([0.0, 2**-24, 2**-25, 3 * 2**-25, 2**-14, 2**-14 - 2**-25, 65_504.0, 65_519.0])
values = torch.cat([random, lower, ties, torch.nextafter(ties, infinity), torch.nextafter(ties, -infinity), edges])
values = torch.cat([values, -values])
values = values[values.abs() < 65_520]
golden = {"values": values.tolist(), "halves": values.half().float().tolist()}
Path(__file__).with_name("half-golden.json").write_text(json.dumps(golden) + "\n")
