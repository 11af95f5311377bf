"""Writes tables and pictures beside this file, what scikit-learn makes of them, and docs/iris.csv.

Needs scikit-learn, pandas, pyarrow and Pillow:

    python3 packages/data/goldens/make_goldens.py
"""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_iris
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = Path(__file__).resolve().parent

iris = load_iris(as_frame=True)
table = iris.data.rename(columns=lambda name: name.replace(" (cm)", "").replace(" ", "_"))
table["species"] = [iris.target_names[label] for label in iris.target]
table.to_csv(HERE.parents[2] / "docs" / "iris.csv", index=False)
for compression in ["none", "snappy", "gzip", "zstd"]:
    table.to_parquet(HERE / f"iris-{compression}.parquet", compression=compression, index=False)

nested = pa.table({"features": [[1.0, 2.0], [3.0, 4.0]], "label": ["a", "b"]})
pq.write_table(nested, HERE / "nested.parquet")

# Column types that a table may have, with a value missing in the last row.
types = pa.table(
    {
        "whole": pa.array([1, 2, 3], pa.int64()),
        "flag": pa.array([True, False, True]),
        "text": pa.array(["a", "b", None]),
        "label": pa.array(["x", "y", "x"]),
    }
)
pq.write_table(types, HERE / "types.parquet")

# Shuffled rows, whose index pandas writes as a last column of its own name.
shuffled = pd.DataFrame(
    {"day": [date(2024, 1, 31), date(2024, 2, 1), date(2024, 2, 2)], "label": ["x", "y", "x"]}, index=[2, 0, 1]
)
shuffled.to_parquet(HERE / "shuffled.parquet")

pq.write_table(pa.table({"code": pa.array([b"ab", b"\x00\xff"]), "label": ["x", "y"]}), HERE / "bytes.parquet")
far = pa.array([0, 2**62], pa.timestamp("ms"))
pq.write_table(pa.table({"seen": far, "label": ["x", "y"]}), HERE / "far-time.parquet")

mixed = table.drop(columns="petal_width")
numbers = mixed.drop(columns="species")
scaler = StandardScaler().fit(numbers)
encoder = OneHotEncoder(sparse_output=False).fit(mixed[["species"]])
encoded = np.hstack([scaler.transform(numbers), encoder.transform(mixed[["species"]])])
golden = {
    "means": scaler.mean_.tolist(),
    "deviations": scaler.scale_.tolist(),
    "encoded": encoded[::10].tolist(),
    "petalWidths": table["petal_width"][::10].tolist(),
}
(HERE / "iris.json").write_text(json.dumps(golden) + "\n")

# The rows of a picture with colors, and what of it stays when the middle square is cut out.
pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3
Image.fromarray(pixels).save(HERE / "color-6x4.png")
Image.fromarray(np.repeat(pixels[:, :, :1], 3, axis=2)).save(HERE / "gray-as-color-6x4.png")
Image.fromarray(pixels[:, :, 0]).save(HERE / "gray-6x4.webp", lossless=True)
Image.fromarray(pixels[:, :, 0]).save(HERE / "gray-6x4.png")
