"""One expression on PyTorch, CPU, one thread: answers lines of JSON on stdin with lines of JSON on stdout.

First line out: {"version"}, or {"absent"} if PyTorch is not installed. Then, for each request:
{"do": "open", "python", "shapes"}, then the operands a and b as raw float32 -> {}
{"do": "run", "steps": n} -> {"ms"}: n evaluations of the expression
{"do": "result"} -> {"base64"}: its value as float32
"""

import base64
import json
import math
import sys
import time


def answer(message):
    print(json.dumps(message), flush=True)


def main():
    try:
        import torch
    except ImportError as error:
        answer({"absent": str(error)})
        return
    torch.set_num_threads(1)
    answer({"version": torch.__version__})

    stream = sys.stdin.buffer
    for line in stream:
        request = json.loads(line)
        if request["do"] == "open":
            operands = [
                torch.frombuffer(bytearray(stream.read(4 * math.prod(shape))), dtype=torch.float32).view(shape).clone()
                for shape in request["shapes"]
            ]
            names = ", ".join("ab"[: len(operands)])
            compute = eval(f"lambda {names}: {request['python']}", {"torch": torch})
            result = compute(*operands)
            answer({})
        elif request["do"] == "run":
            started = time.perf_counter()
            with torch.inference_mode():
                for _ in range(request["steps"]):
                    result = compute(*operands)
            answer({"ms": (time.perf_counter() - started) * 1e3})
        elif request["do"] == "result":
            values = result.to(torch.float32).contiguous().numpy().tobytes()
            answer({"base64": base64.b64encode(values).decode("ascii")})
        else:
            raise ValueError(f"request: open, run or result expected, got {request['do']}")


main()
