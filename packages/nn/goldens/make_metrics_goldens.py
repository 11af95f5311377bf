"""Writes scikit-learn's metrics of made-up predictions, and weighted losses by NumPy, beside this file, as JSON.

Needs scikit-learn and numpy:

    python3 packages/nn/goldens/make_metrics_goldens.py
"""

import json
import warnings
from pathlib import Path

import numpy as np
from sklearn import metrics
from sklearn.utils.class_weight import compute_class_weight

HERE = Path(__file__).resolve().parent
random = np.random.default_rng(7)

# A class without samples has no recall, of which scikit-learn warns.
warnings.filterwarnings("ignore")


def numbers(*shape):
    """Multiples of 2^-10 around 0, which float32 and JSON hold exactly."""
    return np.round(random.normal(size=shape) * 1024) / 1024


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def area(score, own, probability):
    """None for a class without samples, or without others for the ROC curve."""
    if not own.any() or (score is metrics.roc_auc_score and own.all()):
        return None
    return float(score(own, probability))


def mean(values):
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def log_loss(scores, labels):
    """Mean of -log(softmax); scikit-learn's own clips probabilities to 2.2e-16, and the loss of a run does not."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    exact = np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels])
    clipped = metrics.log_loss(labels, softmax(scores), labels=range(scores.shape[1]))
    assert np.isclose(exact, clipped) or exact > clipped
    return float(exact)


def classification(scores, labels):
    classes = scores.shape[1]
    predicted, probabilities = scores.argmax(axis=1), softmax(scores)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(classes), zero_division=0
    )
    roc, pr = [
        [area(score, labels == at, probabilities[:, at]) for at in range(classes)]
        for score in (metrics.roc_auc_score, metrics.average_precision_score)
    ]
    macro = metrics.precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)
    if None not in roc and classes > 2:
        assert np.isclose(mean(roc), metrics.roc_auc_score(labels, probabilities, multi_class="ovr"))
    return {
        "scores": scores.tolist(),
        "labels": labels.tolist(),
        "expected": {
            "accuracy": float(metrics.accuracy_score(labels, predicted)),
            "balancedAccuracy": float(metrics.balanced_accuracy_score(labels, predicted)),
            "logLoss": log_loss(scores, labels),
            "macro": dict(zip(["precision", "recall", "f1"], map(float, macro))) | {"rocAuc": mean(roc), "prAuc": mean(pr)},
            "classes": [
                {
                    "name": f"output {at}",
                    "support": int(support[at]),
                    "precision": float(precision[at]),
                    "recall": float(recall[at]),
                    "f1": float(f1[at]),
                    "rocAuc": roc[at],
                    "prAuc": pr[at],
                }
                for at in range(classes)
            ],
        },
    }


def with_ties(scores):
    """Repeats a third of the rows, so that samples of different classes have equal probabilities."""
    third = len(scores) // 3
    scores[-third:] = scores[:third]
    return scores


def imbalanced():
    labels = (np.arange(60) % 20 == 0).astype(int)
    scores = numbers(60, 2)
    scores[:, 0] += 8  # never predicts the rare class
    return classification(scores, labels)


def absent():
    """Class 3 has no samples and class 4 has neither samples nor predictions."""
    scores = numbers(40, 5)
    scores[:, 4] -= 16
    return classification(scores, random.integers(0, 3, 40))


def errors(targets, predicted):
    varies = targets.std() > 0
    return {
        "mae": float(metrics.mean_absolute_error(targets, predicted)),
        "rmse": float(np.sqrt(metrics.mean_squared_error(targets, predicted))),
        "r2": float(metrics.r2_score(targets, predicted, multioutput="variance_weighted")) if varies else None,
    }


def regression(targets, predicted, deviation=1):
    given = [values * deviation for values in (targets, predicted)]
    outputs = [
        {"name": f"output {at}"} | errors(*[values[:, at] for values in given]) for at in range(targets.shape[1])
    ]
    return {
        "targets": targets.tolist(),
        "predicted": predicted.tolist(),
        "deviation": deviation,
        "expected": errors(*given) | {"outputs": outputs},
    }


def constant():
    """scikit-learn leaves errors of the constant value out of the weighted R²; the loss of a run includes them."""
    targets, predicted = numbers(12, 2), numbers(12, 2)
    targets[:, 1] = 3
    golden = regression(targets, predicted)
    spread = ((targets - targets.mean(axis=0)) ** 2).sum()
    golden["expected"]["r2"] = float(1 - ((targets - predicted) ** 2).sum() / spread)
    return golden


def weighted_loss():
    """The sum over samples of weight times cross-entropy, as in Keras and as PyTorch's reduction='sum', and its gradient."""
    scores, labels = numbers(9, 3), np.array([0, 0, 0, 0, 0, 1, 1, 2, 0])
    weights = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    probabilities = softmax(scores)
    own = weights[labels]
    return {
        "scores": scores.tolist(),
        "labels": labels.tolist(),
        "balanced": weights.tolist(),
        "lossSum": float(-(own * np.log(probabilities[np.arange(9), labels])).sum()),
        "scoresGradient": (own[:, None] * (probabilities - np.eye(3)[labels])).tolist(),
    }


goldens = {
    "classification": {
        "several classes with ties": classification(with_ties(numbers(60, 4)), random.integers(0, 4, 60)),
        "two classes with ties": classification(with_ties(numbers(50, 2)), random.integers(0, 2, 50)),
        "a rare class that is never predicted": imbalanced(),
        "classes without samples": absent(),
        "one class": classification(numbers(8, 3), np.ones(8, dtype=int)),
        "saturated probabilities": classification(numbers(40, 3) * 64, random.integers(0, 3, 40)),
    },
    "regression": {
        "one value": regression(numbers(30, 1), numbers(30, 1), 2.5),
        "three values": regression(numbers(20, 3) * [1, 4, 16], numbers(20, 3)),
        "a constant value": constant(),
    },
    "weightedLoss": weighted_loss(),
}
(HERE / "metrics.json").write_text(json.dumps(goldens) + "\n")
