"""Writes outputs.json: what onnxruntime answers with each .onnx.base64 file beside this script.

Needs onnxruntime and numpy:

    python3 packages/onnx/goldens/make_goldens.py
"""

import base64
import json
from pathlib import Path

import numpy as np
import onnxruntime

HERE = Path(__file__).resolve().parent
COUNT = 12
goldens = {}
for path in sorted(HERE.glob("*.onnx.base64")):
    name = path.name.removesuffix(".onnx.base64")
    session = onnxruntime.InferenceSession(base64.b64decode(path.read_text()), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(5)
    metadata = session.get_modelmeta().custom_metadata_map
    output = session.get_outputs()[0].name
    if "reading" not in metadata:
        (port,) = session.get_inputs()
        _, channels, height, width = port.shape
        images = random.integers(0, 256, [COUNT, height, width, channels])
        (outputs,) = session.run([output], {port.name: (images.transpose(0, 3, 1, 2) / 255).astype(np.float32)})
        goldens[name] = {"images": images.ravel().tolist(), "outputs": outputs.ravel().tolist()}
        continue
    columns = json.loads(metadata["reading"])["columns"]
    assert [port.name for port in session.get_inputs()] == [column["name"] for column in columns]
    inputs, cells = {}, {}
    for column in columns:
        is_missing = (random.random(COUNT) < 0.3) & ("missing" in column)
        if column["type"] == "number":
            numbers = random.normal(column["mean"], 2 * column["deviation"], COUNT)
            inputs[column["name"]] = np.where(is_missing, np.nan, numbers).reshape(-1, 1)
            cells[column["name"]] = [None if missing else value for missing, value in zip(is_missing, numbers)]
        else:
            names = random.choice(column["categories"], COUNT)
            texts = ["" if missing else str(text) for missing, text in zip(is_missing, names)]
            inputs[column["name"]] = np.array(texts, dtype=object).reshape(-1, 1)
            cells[column["name"]] = [text or None for text in texts]
    (outputs,) = session.run([output], inputs)
    rows = [{key: values[row] for key, values in cells.items()} for row in range(COUNT)]
    goldens[name] = {"rows": rows, "outputs": outputs.ravel().tolist()}
    text = next((column["name"] for column in columns if column["type"] == "category"), None)
    if text is not None:
        try:
            session.run([output], {**inputs, text: np.full([COUNT, 1], "unknown", dtype=object)})
            raise SystemExit(f"{name}: expected an error for an unknown category")
        except onnxruntime.capi.onnxruntime_pybind11_state.Fail as error:
            print(f"{name}: {error}")
(HERE / "outputs.json").write_text(json.dumps(goldens) + "\n")
