"""Learns to read handwritten digits. Needs nothing but python3.

A small network with one hidden layer, trained by stochastic gradient descent. Every line about trainhook is optional:
`python3 train.py` runs by hand, too.
"""

import csv
import json
import math
import os
import random
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
HIDDEN, CLASSES, BATCH, SEED = 24, 10, 16, 7


def tell(event):
    """Appends one event; trainhook shows it and tells Labelbox."""
    if "TRAINHOOK_EVENTS_FILE" in os.environ:
        with open(os.environ["TRAINHOOK_EVENTS_FILE"], "a") as events:
            events.write(json.dumps(event) + "\n")


def fail(reason):
    """Ends the training; the reason is what people read in Labelbox."""
    if "TRAINHOOK_FAILURE_FILE" in os.environ:
        Path(os.environ["TRAINHOOK_FAILURE_FILE"]).write_text(reason + "\n")
    sys.exit(reason)


def parameter(name, default, least, most):
    text = os.environ.get(f"TRAINHOOK_PARAM_{name.upper()}", str(default))
    try:
        value = type(default)(text)
    except ValueError:
        fail(f"{name} must be a number, not {text!r}")
    if not least <= value <= most:
        fail(f"{name} must be between {least} and {most}, not {text}")
    return value


def load():
    """The images with pixels from 0 to 1, shuffled once and for all: 80 % to learn from, 20 % to be tested with."""
    with open(HERE / "digits.csv") as lines:
        rows = [[int(cell) for cell in row] for row in csv.reader(lines)]
    images = [([pixel / 16 for pixel in row[:-1]], row[-1]) for row in rows]
    random.Random(SEED).shuffle(images)
    cut = len(images) * 4 // 5
    return images[:cut], images[cut:]


def new_weights(chance):
    def layer(outputs, inputs):
        scale = math.sqrt(2 / inputs)
        return [[chance.gauss(0, scale) for _ in range(inputs)] + [0.0] for _ in range(outputs)]

    return {"hidden": layer(HIDDEN, 64), "output": layer(CLASSES, HIDDEN)}


def forward(weights, pixels):
    """What the hidden layer makes of an image, and how likely each digit is."""
    inputs = pixels + [1.0]
    hidden = [max(0.0, sum(map(float.__mul__, row, inputs))) for row in weights["hidden"]] + [1.0]
    scores = [sum(map(float.__mul__, row, hidden)) for row in weights["output"]]
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    total = sum(powers)
    return inputs, hidden, [power / total for power in powers]


def learn(weights, batch, rate):
    """One step down the slope of the loss; returns the batch's loss."""
    loss = 0.0
    for pixels, digit in batch:
        inputs, hidden, likely = forward(weights, pixels)
        loss -= math.log(max(likely[digit], 1e-12))
        errors = [p - (k == digit) for k, p in enumerate(likely)]
        for j, row in enumerate(weights["hidden"]):
            if hidden[j] > 0:
                slope = rate * sum(errors[k] * weights["output"][k][j] for k in range(CLASSES))
                weights["hidden"][j] = [w - slope * x for w, x in zip(row, inputs)]
        for k, row in enumerate(weights["output"]):
            step = rate * errors[k]
            weights["output"][k] = [w - step * h for w, h in zip(row, hidden)]
    return loss


def accuracy(weights, images):
    def read(pixels):
        likely = forward(weights, pixels)[2]
        return likely.index(max(likely))

    return sum(read(pixels) == digit for pixels, digit in images) / len(images)


def save(path, content):
    """Whole or not at all, also if the power goes in between."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(content))
    draft.replace(path)


def main():
    tell({"type": "stage", "stage": "preparing"})
    epochs = parameter("epochs", 12, 1, 1000)
    rate = parameter("learning_rate", 0.02, 0.0001, 1.0)
    out = Path(os.environ.get("TRAINHOOK_OUT_DIR", HERE / "out"))
    checkpoint = Path(os.environ.get("TRAINHOOK_CHECKPOINT_DIR", out)) / "checkpoint.json"
    (out / "model").mkdir(parents=True, exist_ok=True)
    training, test = load()
    chance = random.Random(SEED)
    weights, done = new_weights(chance), 0
    if os.environ.get("TRAINHOOK_RESUME") == "1" and checkpoint.exists():
        saved = json.loads(checkpoint.read_text())
        weights, done = saved["weights"], saved["epoch"]
        print(f"goes on after epoch {done}", flush=True)
    print(f"{len(training)} images to learn from, {len(test)} to be tested with", flush=True)

    tell({"type": "stage", "stage": "training"})
    for epoch in range(done + 1, epochs + 1):
        random.Random(SEED + epoch).shuffle(training)
        loss = sum(learn(weights, training[at : at + BATCH], rate) for at in range(0, len(training), BATCH))
        loss /= len(training)
        print(f"epoch {epoch:3} of {epochs}: loss {loss:.4f}", flush=True)
        tell({"type": "metric", "name": "loss", "value": round(loss, 4), "step": epoch})
        tell({"type": "progress", "percent": round(100 * epoch / epochs)})
        save(checkpoint, {"epoch": epoch, "weights": weights})

    tell({"type": "stage", "stage": "evaluating"})
    reached = round(accuracy(weights, test), 4)
    print(f"accuracy on the test images: {reached:.2%}", flush=True)
    tell({"type": "metric", "name": "accuracy", "value": reached, "step": epochs})
    save(out / "model" / "model.json", weights)
    save(out / "metrics.json", {"accuracy": reached, "test_images": len(test)})


if __name__ == "__main__":
    main()
