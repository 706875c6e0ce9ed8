"""Mean of each feature per class, and how well the nearest class mean tells benign from malignant.

Runs unchanged in two places: beside the mock data, and as a job beside the private data. Standard library only.
"""
import csv
import json
import os
import sys
from pathlib import Path

DATASET = "breast-cancer"
FOLDS = 10


def dataset_folder():
    """The private part inside a job, the mock part anywhere else (syft_datasets/breast-cancer)."""
    datasite = Path(os.environ["SYFTBOX_FOLDER"]) / os.environ["SYFTBOX_EMAIL"]
    part = "private" if os.environ.get("SYFT_IS_IN_JOB") == "true" else "public"
    return part, datasite / part / "syft_datasets" / DATASET


def read_rows(folder):
    rows, features = [], []
    for path in sorted(folder.glob("*.csv")):
        with open(path, newline="") as f:
            for record in csv.DictReader(f):
                features = [k for k in record if k not in ("sample_id", "benign")]
                rows.append((int(record["benign"]), [float(record[k]) for k in features]))
    if not rows:
        sys.exit(f"no rows found in {folder}")
    return features, rows


def mean(rows):
    return [sum(column) / len(rows) for column in zip(*rows)]


def by_class(rows):
    return {c: mean([x for label, x in rows if label == c]) for c in (0, 1)}


def accuracy(rows):
    """Nearest centroid, every FOLDS-th row held out in turn; features scaled by the spread in the training rows."""
    right = 0
    for fold in range(FOLDS):
        train = [r for i, r in enumerate(rows) if i % FOLDS != fold]
        test = [r for i, r in enumerate(rows) if i % FOLDS == fold]
        centre = mean([x for _, x in train])
        spread = [max((sum((v - m) ** 2 for v in column) / len(train)) ** 0.5, 1e-12)
                  for column, m in zip(zip(*[x for _, x in train]), centre)]
        centroids = by_class(train)
        for label, x in test:
            distance = {c: sum(((v - m) / s) ** 2 for v, m, s in zip(x, centroids[c], spread)) for c in (0, 1)}
            right += min(distance, key=distance.get) == label
    return right / len(rows)


def main():
    part, folder = dataset_folder()
    features, rows = read_rows(folder)
    classes = by_class(rows)
    overall = mean([x for _, x in rows])
    result = {
        "part": part,
        "rows": len(rows),
        "accuracy": round(accuracy(rows), 4),
        "mean": {f: {"all": round(overall[i], 3), "benign": round(classes[1][i], 3), "malignant": round(classes[0][i], 3)}
                 for i, f in enumerate(features)},
    }
    outputs = Path("outputs")
    outputs.mkdir(exist_ok=True)
    (outputs / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(f"{part} part: {len(rows)} rows, accuracy {result['accuracy']}")


if __name__ == "__main__":
    main()
