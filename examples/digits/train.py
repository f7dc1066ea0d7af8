"""Learns to read handwritten digits. Needs nothing but python3.

A small network with one hidden layer, trained by gradient descent on small batches. Every line about trainhook is
optional: `python3 train.py` runs by hand, too, and leaves its results in `out/` beside this file.
"""

import csv
import json
import math
import os
import random
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
HIDDEN, CLASSES, BATCH, SEED = 16, 10, 16, 7


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
        kind = "a whole number" if isinstance(default, int) else "a number"
        fail(f"{name} must be {kind}, not {text!r}")
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
    """One step down the slope of the batch's mean loss; returns the sum of its losses."""
    slopes = {layer: [[0.0] * len(row) for row in rows] for layer, rows in weights.items()}
    loss = 0.0
    for pixels, digit in batch:
        inputs, hidden, likely = forward(weights, pixels)
        loss -= math.log(max(likely[digit], 1e-12))
        errors = [p - (k == digit) for k, p in enumerate(likely)]
        for k, error in enumerate(errors):
            slopes["output"][k] = [s + error * h for s, h in zip(slopes["output"][k], hidden)]
        for j in range(HIDDEN):
            if hidden[j] > 0:  # where it is 0, the hidden unit is silent and learns nothing
                error = sum(errors[k] * weights["output"][k][j] for k in range(CLASSES))
                slopes["hidden"][j] = [s + error * x for s, x in zip(slopes["hidden"][j], inputs)]
    step = rate / len(batch)
    for layer, rows in weights.items():
        weights[layer] = [[w - step * s for w, s in zip(*pair)] for pair in zip(rows, slopes[layer])]
    return loss


def accuracy(weights, images):
    def read(pixels):
        likely = forward(weights, pixels)[2]
        return likely.index(max(likely))

    return sum(read(pixels) == digit for pixels, digit in images) / len(images)


def save(path, content):
    """Whole or not at all, also if the power goes in between."""
    draft = path.with_suffix(".new")
    with open(draft, "w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def main():
    tell({"type": "stage", "stage": "preparing"})
    epochs = parameter("epochs", 12, 1, 1000)
    rate = parameter("learning_rate", 0.3, 0.0001, 1.0)
    out = Path(os.environ.get("TRAINHOOK_OUT_DIR", HERE / "out"))
    checkpoint = Path(os.environ.get("TRAINHOOK_CHECKPOINT_DIR", out)) / "checkpoint.json"
    (out / "model").mkdir(parents=True, exist_ok=True)
    training, test = load()
    weights, done = new_weights(random.Random(SEED)), 0
    if os.environ.get("TRAINHOOK_RESUME") == "1" and checkpoint.exists():
        saved = json.loads(checkpoint.read_text())
        weights, done = saved["weights"], saved["epoch"]
        print(f"goes on after epoch {done}", flush=True)
    print(f"{len(training)} images to learn from, {len(test)} to be tested with", flush=True)

    tell({"type": "stage", "stage": "training"})
    for epoch in range(done + 1, epochs + 1):
        # The order depends on the epoch alone, so a training that was interrupted ends with the very same model.
        order = random.Random(SEED + epoch).sample(training, len(training))
        losses = [learn(weights, order[at : at + BATCH], rate) for at in range(0, len(order), BATCH)]
        loss = sum(losses) / len(order)
        save(checkpoint, {"epoch": epoch, "weights": weights})
        print(f"epoch {epoch:3} of {epochs}: loss {loss:.4f}", flush=True)
        tell({"type": "metric", "name": "loss", "value": round(loss, 4), "step": epoch})
        tell({"type": "progress", "percent": round(100 * epoch / epochs)})

    tell({"type": "stage", "stage": "evaluating"})
    reached = round(accuracy(weights, test), 4)
    print(f"accuracy on the test images: {reached:.2%}", flush=True)
    tell({"type": "metric", "name": "accuracy", "value": reached, "step": epochs})
    save(out / "model" / "model.json", weights)
    save(out / "metrics.json", {"accuracy": reached, "test_images": len(test)})


if __name__ == "__main__":
    main()
