"""Writes missing.json: what scikit-learn makes of a table with missing values.

Needs scikit-learn and pandas:

    python3 packages/data/goldens/make_missing.py
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

random = np.random.default_rng(7)
count = 60
ages = random.normal(30, 12, count).round()
ages[random.choice(count, 14, replace=False)] = np.nan
fares = random.lognormal(3, 1, count).round(2)
fares[random.choice(count, 3, replace=False)] = np.nan
ports = random.choice(["C", "Q", "S"], count, p=[0.3, 0.1, 0.6]).astype(object)
ports[random.choice(count, 5, replace=False)] = None
sexes = random.choice(["female", "male"], count).astype(object)
table = pd.DataFrame({"age": ages, "fare": fares, "port": ports, "sex": sexes})
train, test = table.iloc[:40], table.iloc[40:]

encoded = {}
for strategy in ["mean", "median", "most_frequent"]:
    transformer = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy=strategy), StandardScaler()), ["age", "fare"]),
            (
                "categories",
                make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(sparse_output=False)),
                ["port", "sex"],
            ),
        ]
    ).fit(train)
    encoded[strategy.replace("_", "-")] = [transformer.transform(part).tolist() for part in [train, test]]

labeled = table.assign(label=["no", "yes"] * (count // 2))
golden = {
    "train": labeled.iloc[:40].to_csv(index=False),
    "test": labeled.iloc[40:].to_csv(index=False),
    "encoded": encoded,
}
(Path(__file__).resolve().parent / "missing.json").write_text(json.dumps(golden) + "\n")
