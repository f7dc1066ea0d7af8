"""Learns to read handwritten digits. Needs nothing but python3.

A small network with one hidden layer, trained by gradient descent on small batches. trainhook has laid the model run's
rows, their images and their labels below `TRAINHOOK_DATA_DIR`; what is predicted here for the test rows, it takes back
to Labelbox. By hand it runs on the folder of an earlier job: `TRAINHOOK_DATA_DIR=jobs/…/data python3 train.py`.
"""

import json
import math
import os
import random
import sys
import zlib
from pathlib import Path

HIDDEN, BATCH, SEED = 16, 16, 7


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


def parameter(name, default):
    """trainhook has checked type and limits, as `models.toml` states them."""
    return type(default)(os.environ.get(f"TRAINHOOK_PARAM_{name.upper()}", default))


def unfilter(kind, line, above):
    """Undoes what PNG does to the bytes of a line before it packs them; every pixel has one byte."""
    done = bytearray()
    for at, byte in enumerate(line):
        left, corner = (done[at - 1], above[at - 1]) if at else (0, 0)
        up = above[at]
        slope = left + up - corner
        nearest = min((left, up, corner), key=lambda value: abs(slope - value))
        done.append((byte + (0, left, up, (left + up) // 2, nearest)[kind]) % 256)
    return done


def read_png(path):
    """The pixels of a grey image, from 0 to 1, line by line."""
    data = path.read_bytes()
    at, packed = 8, b""
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        content = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height = int.from_bytes(content[:4], "big"), int.from_bytes(content[4:8], "big")
            if content[8:] != b"\x08\x00\x00\x00\x00":
                fail(f"{path.name} is no grey image of 8 bits a pixel")
        elif kind == b"IDAT":
            packed += content
        at += 12 + length
    lines, above, pixels = zlib.decompress(packed), bytes(width), []
    for row in range(height):
        start = row * (width + 1)
        above = unfilter(lines[start], lines[start + 1 : start + 1 + width], above)
        pixels += [byte / 255 for byte in above]
    return pixels


def load_question(data):
    """The first question with one answer that the ontology asks of whole images."""
    ontology = json.loads((data / "ontology.json").read_text())
    for question in ontology["classifications"]:
        if question["kind"] == "radio":
            return question["name"], [option["name"] for option in question["options"]]
    fail("the ontology has no question with one answer: this example learns such answers")


def label_of(row, question):
    """What the labellers answered; none if nobody did."""
    for model in row["experiments"].values():
        for run in model["runs"].values():
            for label in run["labels"]:
                for answered in label["annotations"]["classifications"]:
                    if answered["name"] == question and answered.get("radio_answer"):
                        return answered["radio_answer"]["name"]
    return None


def load(data, split, question, classes):
    """Id, pixels and class of each image of a split; the class is none where there is no label."""
    images = []
    with open(data / f"{split}.ndjson") as lines:
        for row in map(json.loads, lines):
            path = row["data_row"].get("local_path")
            if path is None:
                continue  # its image could not be had; data/manifest.json says why
            label = label_of(row, question)
            images.append((row["data_row"]["id"], read_png(data / path), classes.index(label) if label else None))
    return images


def new_weights(inputs, classes, chance):
    def layer(outputs, inputs):
        scale = math.sqrt(2 / inputs)
        return [[chance.gauss(0, scale) for _ in range(inputs)] + [0.0] for _ in range(outputs)]

    return {"hidden": layer(HIDDEN, inputs), "output": layer(classes, HIDDEN)}


def forward(weights, pixels):
    """What the hidden layer makes of an image, and how likely each class is."""
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
    for _, pixels, truth in batch:
        inputs, hidden, likely = forward(weights, pixels)
        loss -= math.log(max(likely[truth], 1e-12))
        errors = [p - (k == truth) for k, p in enumerate(likely)]
        for k, error in enumerate(errors):
            slopes["output"][k] = [s + error * h for s, h in zip(slopes["output"][k], hidden)]
        for j in range(HIDDEN):
            if hidden[j] > 0:  # where it is 0, the hidden unit is silent and learns nothing
                error = sum(errors[k] * weights["output"][k][j] for k in range(len(errors)))
                slopes["hidden"][j] = [s + error * x for s, x in zip(slopes["hidden"][j], inputs)]
    step = rate / len(batch)
    for layer, rows in weights.items():
        weights[layer] = [[w - step * s for w, s in zip(*pair)] for pair in zip(rows, slopes[layer])]
    return loss


def predict(weights, pixels):
    """The likeliest class and how likely it is."""
    likely = forward(weights, pixels)[2]
    best = max(likely)
    return likely.index(best), best


def accuracy(weights, images):
    labelled = [(pixels, truth) for _, pixels, truth in images if truth is not None]
    return sum(predict(weights, pixels)[0] == truth for pixels, truth in labelled) / max(len(labelled), 1)


def counts(row_id, question, answer, true_positives, false_positives, false_negatives):
    """What a row adds to the confusion matrix; Labelbox adds them up."""
    return {
        "dataRow": {"id": row_id},
        "metricName": "confusion",
        "featureName": question,
        "subclassName": answer,
        "metricValue": [true_positives, false_positives, 0, false_negatives],
        "aggregation": "CONFUSION_MATRIX",
    }


def write_predictions(path, weights, images, question, classes):
    """A line for each image: the answer and how sure it is; and where there is a label, how the two compare."""
    with open(path, "w") as out:
        for row_id, pixels, truth in images:
            found, confidence = predict(weights, pixels)
            answer = {"name": classes[found], "confidence": round(confidence, 4)}
            lines = [{"dataRow": {"id": row_id}, "name": question, "answer": answer}]
            if truth == found:
                lines.append(counts(row_id, question, classes[found], 1, 0, 0))
            elif truth is not None:
                lines.append(counts(row_id, question, classes[found], 0, 1, 0))
                lines.append(counts(row_id, question, classes[truth], 0, 0, 1))
            out.writelines(json.dumps(line) + "\n" for line in lines)


def save(path, content):
    """Whole or not at all, also if the power goes in between."""
    draft = path.with_suffix(".new")
    with open(draft, "w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def evaluate(weights, validation, test, out, question, classes):
    tell({"type": "stage", "stage": "evaluating"})
    reached = {"validation_accuracy": accuracy(weights, validation), "accuracy": accuracy(weights, test)}
    reached = {name: round(value, 4) for name, value in reached.items()}
    print(f"accuracy on the test images: {reached['accuracy']:.2%}", flush=True)
    for name, value in reached.items():
        tell({"type": "metric", "name": name, "value": value})
    write_predictions(out / "predictions.ndjson", weights, test, question, classes)
    save(out / "model" / "model.json", {"question": question, "classes": classes, **weights})
    save(out / "metrics.json", reached)


def main():
    if "TRAINHOOK_DATA_DIR" not in os.environ:
        sys.exit("where is the data? set TRAINHOOK_DATA_DIR to the data folder of a job, or run `trainhook demo`")
    tell({"type": "stage", "stage": "preparing"})
    data = Path(os.environ["TRAINHOOK_DATA_DIR"])
    epochs, rate = parameter("epochs", 12), parameter("learning_rate", 0.3)
    out = Path(os.environ.get("TRAINHOOK_OUT_DIR", "out"))
    checkpoint = Path(os.environ.get("TRAINHOOK_CHECKPOINT_DIR", out)) / "checkpoint.json"
    (out / "model").mkdir(parents=True, exist_ok=True)

    question, classes = load_question(data)
    splits = [load(data, split, question, classes) for split in ("training", "validation", "test")]
    training, validation, test = splits
    training = [image for image in training if image[2] is not None]
    if not training:
        fail("no row of the training split has a label: there is nothing to learn from")
    weights, done = new_weights(len(training[0][1]), len(classes), random.Random(SEED)), 0
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

    evaluate(weights, validation, test, out, question, classes)


if __name__ == "__main__":
    main()
