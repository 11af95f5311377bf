"""pandas and scikit-learn on a table: answers lines of JSON on stdin with lines of JSON on stdout.

First line out: {"version"}, or {"absent"} if one of them is not installed. Then, for each request:
{"do": "read", "file", "times"} -> {"ms", "values"}: read_csv with its C engine; the sum of each column
{"do": "prepare", "file", "times"} -> {"ms", "values"}: read, split and standardize as float32; [squares, train, test]
{"do": "train", "file", "times", "hidden", "batch"} -> {"ms", "values"}: epochs of MLPClassifier; [test accuracy]
"""

import json
import sys
import time


def answer(message):
    print(json.dumps(message), flush=True)


def timed(times, work):
    started = time.perf_counter()
    for _ in range(times):
        result = work()
    return 1000 * (time.perf_counter() - started), result


def main():
    try:
        import numpy
        import pandas
        import sklearn
        from sklearn.model_selection import train_test_split
        from sklearn.neural_network import MLPClassifier
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        answer({"absent": str(error)})
        return
    answer({"version": f"pandas {pandas.__version__}, scikit-learn {sklearn.__version__}"})

    def read(file):
        return pandas.read_csv(file, engine="c")

    def prepare(file):
        table = read(file)
        labels = table.pop("label")
        x, x_test, y, y_test = train_test_split(table, labels, test_size=0.2, stratify=labels, random_state=1)
        scaler = StandardScaler().fit(x)
        x, x_test = (scaler.transform(part).astype(numpy.float32) for part in (x, x_test))
        return x, x_test, y.to_numpy(), y_test.to_numpy()

    for line in sys.stdin:
        request = json.loads(line)
        file, times = request["file"], request["times"]
        if request["do"] == "read":
            ms, table = timed(times, lambda: read(file))
            answer({"ms": ms, "values": table.sum().tolist()})
        elif request["do"] == "prepare":
            ms, (x, x_test, _, _) = timed(times, lambda: prepare(file))
            answer({"ms": ms, "values": [float((x.astype(numpy.float64) ** 2).sum()), len(x), len(x_test)]})
        elif request["do"] == "train":
            x, x_test, y, y_test = prepare(file)
            net = MLPClassifier((request["hidden"],), batch_size=request["batch"], alpha=0, random_state=1)
            ms, _ = timed(times, lambda: net.partial_fit(x, y, classes=[0, 1]))
            answer({"ms": ms, "values": [net.score(x_test, y_test)]})
        else:
            raise ValueError(f"request: read, prepare or train expected, got {request['do']}")


main()
