"""Writes operations.json: what PyTorch computes for the operations, forward and backward. Needs torch only here.

The gradient is that of sum(output * weights), weights[i] = ((7 i) mod 11 - 5) / 4 + 0.1875 in row-major order.
"""
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F

torch.manual_seed(2)
cases = []


def values(*shape, low=-2.0, high=2.0):
    return torch.round((torch.rand(shape) * (high - low) + low) * 1e4) / 1e4


def indices(*shape, below):
    return torch.randint(0, below, shape).float()


def numbers(tensor):
    def number(value):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return float(f"{value:.9g}")

    return [number(value) for value in tensor.detach().reshape(-1).tolist()]


def described(tensor):
    return {"shape": list(tensor.shape), "values": numbers(tensor)}


def case(name, compute, *inputs, options=None, differentiate=None):
    """`differentiate` are the positions of the inputs whose gradient is kept, all where left out."""
    positions = range(len(inputs)) if differentiate is None else differentiate
    leaves = [x.clone().requires_grad_(i in positions) for i, x in enumerate(inputs)]
    output = compute(*leaves)
    entry = {"operation": name, "options": options, "inputs": [described(x) for x in inputs], "output": described(output)}
    if output.requires_grad:
        index = torch.arange(output.numel()).reshape(output.shape)
        weights = ((index * 7) % 11 - 5) / 4 + 0.1875
        (output * weights).sum().backward()
        grads = [x.grad if x.grad is not None else torch.zeros_like(x) for i, x in enumerate(leaves) if i in positions]
        entry["gradients"] = {str(i): numbers(g) for i, g in zip(positions, grads)}
    cases.append(entry)


nan, inf = math.nan, math.inf
pairs = [((2, 3), (2, 3)), ((4, 1), (3,)), ((2, 1, 3), (5, 1)), ((), (3,)), ((0, 3), (3,)), ((1,), (1,))]
for name, compute in {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "maximum": torch.maximum, "minimum": torch.minimum,
}.items():
    for left, right in pairs:
        case(name, compute, values(*left), values(*right))
for left, right in pairs:
    case("div", torch.div, values(*left), values(*right, low=0.4))
    case("pow", torch.pow, values(*left, low=0.2), values(*right))
case("maximum", torch.maximum, torch.tensor([1.0, 2.0, -3.0]), torch.tensor([1.0, 2.5, -3.0]))
case("minimum", torch.minimum, torch.tensor([1.0, 2.0, -3.0]), torch.tensor([1.0, 2.5, -3.0]))
case("pow", torch.pow, torch.tensor([-2.0, -1.5, 0.0, 0.0, 3.0]), torch.tensor([3.0, 2.0, 2.0, 0.0, 0.0]))
bases = torch.tensor([0.0, -0.0, 1.0, -1.0, 2.0, -2.0, inf, -inf, nan, 0.5, 1e-40, 1e38, 1.0000001])
exponents = torch.tensor([0.0, 1.0, -1.0, 2.0, 3.0, -3.0, 0.5, inf, -inf, nan, 127.5, 1e7])
case("pow", torch.pow, bases.reshape(-1, 1), exponents, differentiate=[])
for name in ["eq", "ne", "lt", "le", "gt", "ge"]:
    ours = {"eq": "equal", "ne": "notEqual", "lt": "less", "le": "lessEqual", "gt": "greater", "ge": "greaterEqual"}[name]
    compare = lambda x, y, name=name: getattr(torch, name)(x, y).float()
    edge = torch.tensor([0.0, -0.0, 1.0, 2.0, nan, inf, -inf])
    case(ours, compare, edge.reshape(-1, 1), edge, differentiate=[])
condition = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
case("where", lambda c, x, y: torch.where(c != 0, x, y), condition, values(2, 3), values(3), differentiate=[1, 2])

spread = torch.tensor([-1e4, -120.0, -88.5, -20.0, -5.5, -1.0, -1e-4, -1e-20, 0.0, 1e-20, 1e-4, 0.3, 1.0, 5.5, 20.0, 88.5, 120.0, 1e4])
for name, compute in {
    "neg": torch.neg, "abs": torch.abs, "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
    "softplus": lambda x: torch.logaddexp(x, torch.zeros(())), "gelu": F.gelu, "leakyRelu": F.leaky_relu,
    "normalCdf": lambda x: torch.special.ndtr(x),
}.items():
    case(name, compute, spread)
    case(name, compute, values(3, 5))
    case(name, compute, values(0, 2))
case("gelu", lambda x: F.gelu(x, approximate="tanh"), values(3, 5) * 2, options={"approximate": "tanh"})
case("leakyRelu", lambda x: F.leaky_relu(x, 0.2), values(4), options=0.2)
case("exp", torch.exp, values(3, 5) * 10)
for name in ["log", "sqrt"]:
    case(name, getattr(torch, name), values(3, 5, low=0.01))
    case(name, getattr(torch, name), torch.tensor([1e-30, 1e-3, 1.0, 1e4, 1e30]))
case("clamp", lambda x: torch.clamp(x, -0.5, 1.0), torch.tensor([-0.5, 1.0, 0.3, -2.0, 7.0]), options={"low": -0.5, "high": 1.0})
case("clamp", lambda x: torch.clamp(x, min=0.1), values(2, 4), options={"low": 0.1})

for shape, axes in [((2, 3), None), ((), None), ((5, 3), [0]), ((5, 3), [-1]), ((2, 3, 4), [0, 2]), ((2, 1, 4, 3), [0, 1, 3]), ((1,), [0])]:
    for keep in [False, True] if axes else [False]:
        options = {} if axes is None else {"axes": axes, "keepAxes": keep}
        dims = list(range(len(shape))) if axes is None else axes
        reduce = lambda function: lambda x: function(x, dim=dims, keepdim=keep) if dims else function(x)
        case("sum", reduce(torch.sum), values(*shape), options=options)
        case("mean", reduce(torch.mean), values(*shape), options=options)
        if dims:
            case("max", lambda x: torch.amax(x, dim=dims, keepdim=keep), torch.round(values(*shape)), options=options)
            case("min", lambda x: torch.amin(x, dim=dims, keepdim=keep), torch.round(values(*shape)), options=options)
            case("norm", lambda x: torch.linalg.vector_norm(x, dim=dims, keepdim=keep), values(*shape), options=options)
case("sum", lambda x: x.sum(dim=1), values(3, 0), options={"axes": [1]})
case("max", lambda x: torch.amax(x, dim=0), torch.tensor([[1.0, nan], [2.0, 3.0]]), options={"axes": [0]}, differentiate=[])
case("norm", lambda x: torch.linalg.vector_norm(x, dim=1), torch.tensor([[0.0, 0.0], [3.0, 4.0]]), options={"axes": [1]})
for axis in [0, 1, -1, None]:
    case("argmax", lambda x: torch.argmax(x, dim=axis).float(), torch.round(values(3, 4, 5)), options=axis, differentiate=[])

case("reshape", lambda x: x.reshape(4, 3), values(2, 6), options=[4, -1])
case("transpose", lambda x: x.transpose(0, 2), values(2, 3, 4), options=[0, 2])
case("permute", lambda x: x.permute(2, 0, 1), values(2, 3, 4), options=[2, 0, 1])
case("permute", lambda x: x.permute(0, 3, 1, 2), values(2, 3, 2, 5), options=[0, 3, 1, 2])
case("slice", lambda x: x[1:3, :, 0:5:2], values(4, 2, 5), options=[{"start": 1, "end": 3}, {}, {"end": 5, "step": 2}])
case("slice", lambda x: x[-2:, 1:-1], values(4, 5), options=[{"start": -2}, {"start": 1, "end": -1}])
case("slice", lambda x: x[3:2], values(4, 2), options=[{"start": 3, "end": 2}])
case("concat", lambda *xs: torch.cat(xs, 1), values(2, 3), values(2, 1), values(2, 0), options=1)
case("concat", lambda *xs: torch.cat(xs, -1), values(2, 2, 3), values(2, 2, 4), options=-1)
case("stack", lambda *xs: torch.stack(xs, 1), values(2, 4), values(2, 4), values(2, 4), options=1)
case("stack", lambda *xs: torch.stack(xs, -1), values(3), values(3), options=-1)
case("pad", lambda x: F.pad(x, (0, 2, 1, 0), value=0.5), values(2, 3), options={"amounts": [[1, 0], [0, 2]], "value": 0.5})
case("pad", lambda x: F.pad(x, (0, 0, 1, 1, 2, 0)), values(2, 3, 2), options={"amounts": [[2, 0], [1, 1], [0, 0]], "value": 0})
case("broadcastTo", lambda x: x.expand(2, 4, 3), values(4, 1), options=[2, 4, 3])

for shape, axis, index in [((5, 3), 0, (4, 3)), ((2, 5), 1, (2, 7)), ((4, 3, 2), 1, (2, 5, 1)), ((6,), -1, (3,))]:
    case("gather", lambda x, i: torch.gather(x, axis, i.long()), values(*shape), indices(*index, below=shape[axis]), options=axis, differentiate=[0])
for shape, axis, count in [((5, 3), 0, 7), ((2, 5, 3), 1, 4), ((3, 4), -1, 1)]:
    case("indexSelect", lambda x, i: torch.index_select(x, axis, i.long()), values(*shape), indices(count, below=shape[axis]), options=axis, differentiate=[0])
case("indexSelect", lambda x, i: F.embedding(i.long(), x), values(7, 5), indices(2, 3, below=7), options=0, differentiate=[0])
case("oneHot", lambda i: F.one_hot(i.long(), 6).float(), indices(2, 3, below=6), options=6, differentiate=[])

shapes = [
    ((3, 4), (4, 5)), ((4,), (4,)), ((4,), (4, 3)), ((3, 4), (4,)), ((2, 3, 4), (4,)), ((4,), (2, 4, 3)),
    ((2, 3, 4), (2, 4, 5)), ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5)), ((2, 1, 3, 4), (3, 4, 2)),
    ((1, 3, 4), (5, 4, 2)), ((1, 1), (1, 1)), ((3, 0), (0, 2)), ((0, 3, 4), (4, 2)),
]
for left, right in shapes:
    case("matmul", torch.matmul, values(*left), values(*right))
case("matmul", lambda x, y: x.mT @ y.mT, values(2, 4, 3), values(2, 5, 4), options={"transposeLeft": True, "transposeRight": True})
case("matmul", lambda x, y: x.mT @ y, values(2, 4, 3), values(4, 5), options={"transposeLeft": True})
case("dot", torch.dot, values(9), values(9))

for shape, axis, temperature in [((4, 10), -1, 1), ((4, 10), 0, 0.5), ((2, 3, 5), 1, 4), ((1,), 0, 1)]:
    options = {"axis": axis, "temperature": temperature}
    case("softmax", lambda x: torch.softmax(x / temperature, axis), values(*shape) * 3, options=options)
    case("logSoftmax", lambda x: torch.log_softmax(x / temperature, axis), values(*shape) * 3, options=options)
extreme = torch.tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, 9999.0]])
case("softmax", lambda x: torch.softmax(x, -1), extreme)
case("logSoftmax", lambda x: torch.log_softmax(x, -1), extreme)
for reduction in ["mean", "sum", "none"]:
    options = {"reduction": reduction}
    entropy = lambda x, t: F.cross_entropy(x, t.long(), reduction=reduction)
    case("crossEntropy", entropy, values(5, 4) * 3, indices(5, below=4), options=options, differentiate=[0])
    soft = torch.softmax(values(5, 4), -1)
    case("crossEntropy", lambda x, t: F.cross_entropy(x, t, reduction=reduction), values(5, 4), soft, options=options)
    case("mse", lambda x, y: F.mse_loss(x, y, reduction=reduction), values(3, 4), values(3, 4), options=options)
case("crossEntropy", lambda x, t: F.cross_entropy(x.movedim(-1, 1), t.long(), reduction="none"), values(2, 3, 4), indices(2, 3, below=4), options={"reduction": "none"}, differentiate=[0])
case("crossEntropy", lambda x, t: F.cross_entropy(x, t.long()), extreme, torch.tensor([0.0, 1.0, 2.0]), differentiate=[0])
case("cosineSimilarity", F.cosine_similarity, values(4, 7), values(4, 7), options={"axis": 1})
case("cosineSimilarity", lambda x, y: F.cosine_similarity(x, y, dim=-1), values(3, 1, 5), values(2, 5))

text = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in cases)
Path(__file__).with_name("operations.json").write_text(f"[\n{text}\n]\n")
