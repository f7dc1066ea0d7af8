"""Learns to mark entities in texts. Needs nothing but python3.

An averaged perceptron looks at each word and its neighbours and says whether an entity begins there (B-), goes on (I-)
or neither (O). trainhook has laid the texts and their labels below `TRAINHOOK_DATA_DIR`; the entities that are found in
the test texts, it takes back to Labelbox.
"""

import json
import math
import os
import random
import re
import sys
from collections import defaultdict
from pathlib import Path

WORD, SEED = re.compile(r"\w+|[^\w\s]"), 7


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


def text_of(row, data):
    """The text itself, or the file that its address led to."""
    path, text = row["data_row"].get("local_path"), row["data_row"]["row_data"]
    if path:
        return (data / path).read_text(encoding="utf-8")
    if text.startswith(("http://", "https://")):
        fail(f"the text of row {row['data_row']['id']} lies elsewhere: let the model have export = {{ files = true }}")
    return text


def entities_of(row):
    """First character, last character and name of each entity that was marked; the last one belongs to it."""
    marked = []
    for model in row["experiments"].values():
        for run in model["runs"].values():
            for label in run["labels"]:
                for entity in label["annotations"]["objects"]:
                    if "location" in entity:
                        where = entity["location"]
                        marked.append((where["start"], where["end"], entity["name"]))
    return marked


def load(data, split):
    """Id, words with their places, and entities of each text of a split."""
    texts = []
    with open(data / f"{split}.ndjson", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            words = [(found.group(), found.start(), found.end() - 1) for found in WORD.finditer(text_of(row, data))]
            texts.append((row["data_row"]["id"], words, entities_of(row)))
    return texts


def tags_of(words, entities):
    tags = []
    for _, start, end in words:
        inside = next((entity for entity in entities if entity[0] <= start and end <= entity[1]), None)
        tags.append("O" if inside is None else ("B-" if inside[0] == start else "I-") + inside[2])
    return tags


def features(words, at, before):
    """What the tagger sees of a word: itself, its looks, its neighbours, and the tag before it."""
    word = words[at][0]
    left = words[at - 1][0].lower() if at else "<begin>"
    right = words[at + 1][0].lower() if at + 1 < len(words) else "<end>"
    shape = re.sub(r"\d", "9", re.sub(r"[a-z]", "a", re.sub(r"[A-Z]", "A", word)))
    shape = re.sub(r"(.)\1+", r"\1", shape)
    return [
        f"word {word.lower()}",
        f"ends {word[-3:].lower()}",
        f"shape {shape}",
        f"left {left}",
        f"right {right}",
        f"before {before}",
        f"before {before} shape {shape}",
    ]


def scores(weights, seen, tags):
    return {tag: sum(weights[feature].get(tag, 0.0) for feature in seen if feature in weights) for tag in tags}


def tag(weights, words, tags):
    """The likeliest tag of each word, and how likely it is among all tags."""
    found, before = [], "O"
    for at in range(len(words)):
        of = scores(weights, features(words, at, before), tags)
        best = max(tags, key=lambda tag: of[tag])
        total = sum(math.exp(min(of[tag] - of[best], 0.0)) for tag in tags)
        found.append((best, 1 / total))
        before = best
    return found


def spans(words, tagged):
    """First character, last character, name and confidence of each entity: it is as sure as its least sure word."""
    found, here = [], None
    for (_, start, end), (tag, likely) in zip(words, tagged):
        name = tag[2:]
        if tag.startswith("I-") and here and here[2] == name:
            here = (here[0], end, name, min(here[3], likely))
            continue
        found += [here] if here else []
        here = (start, end, name, likely) if tag != "O" else None
    return found + ([here] if here else [])


class Learner:
    """Weights by feature and tag, and their sums over all steps: their mean generalises better than the last ones."""

    def __init__(self):
        self.weights, self.sums, self.steps = defaultdict(dict), defaultdict(float), 0

    def learn(self, words, truth, tags):
        """One pass over a text; returns how many of its words were tagged wrongly."""
        wrong, before = 0, "O"
        for at, right in enumerate(truth):
            seen = features(words, at, before)
            of = scores(self.weights, seen, tags)
            guess = max(tags, key=lambda tag: of[tag])
            self.steps += 1
            if guess != right:
                wrong += 1
                for feature in seen:
                    for tag, change in ((right, 1.0), (guess, -1.0)):
                        self.weights[feature][tag] = self.weights[feature].get(tag, 0.0) + change
                        self.sums[feature, tag] += self.steps * change
            before = right
        return wrong

    def mean(self):
        mean = defaultdict(dict)
        for feature, of in self.weights.items():
            for tag, weight in of.items():
                mean[feature][tag] = weight - self.sums[feature, tag] / max(self.steps, 1)
        return mean


def measure(weights, texts, tags):
    """Precision, recall and F1 of whole entities: the right characters and the right name."""
    right = found = there = 0
    for _, words, entities in texts:
        guessed = {span[:3] for span in spans(words, tag(weights, words, tags))}
        right, found, there = right + len(guessed & set(entities)), found + len(guessed), there + len(set(entities))
    precision, recall = right / max(found, 1), right / max(there, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-12)
    return {"precision": round(precision, 4), "recall": round(recall, 4), "f1": round(f1, 4)}


def write_predictions(path, weights, texts, tags):
    """A line for each entity: its name, its characters, and how sure it is."""
    with open(path, "w") as out:
        for row_id, words, _ in texts:
            for start, end, name, likely in spans(words, tag(weights, words, tags)):
                line = {"dataRow": {"id": row_id}, "name": name, "location": {"start": start, "end": end}}
                out.write(json.dumps({**line, "confidence": round(likely, 4)}) + "\n")


def main():
    if "TRAINHOOK_DATA_DIR" not in os.environ:
        sys.exit("where is the data? set TRAINHOOK_DATA_DIR to the data folder of a job, or run `trainhook demo`")
    tell({"type": "stage", "stage": "preparing"})
    data, out = Path(os.environ["TRAINHOOK_DATA_DIR"]), Path(os.environ.get("TRAINHOOK_OUT_DIR", "out"))
    epochs = int(os.environ.get("TRAINHOOK_PARAM_EPOCHS", 8))
    training, test = load(data, "training"), load(data, "test")
    lessons = [(words, tags_of(words, entities)) for _, words, entities in training]
    tags = sorted({tag for _, truth in lessons for tag in truth})
    if tags in ([], ["O"]):
        fail("no text of the training split has an entity: there is nothing to learn from")
    print(f"{len(training)} texts to learn from, {len(test)} to be tested with, tags {' '.join(tags)}", flush=True)

    tell({"type": "stage", "stage": "training"})
    learner, chance = Learner(), random.Random(SEED)
    for epoch in range(1, epochs + 1):
        chance.shuffle(lessons)
        wrong = sum(learner.learn(words, truth, tags) for words, truth in lessons)
        print(f"epoch {epoch:3} of {epochs}: {wrong} words tagged wrongly", flush=True)
        tell({"type": "metric", "name": "wrong_words", "value": wrong, "step": epoch})
        tell({"type": "progress", "percent": round(100 * epoch / epochs)})

    tell({"type": "stage", "stage": "evaluating"})
    weights = learner.mean()
    reached = measure(weights, test, tags)
    print(f"F1 on the test texts: {reached['f1']:.2%}", flush=True)
    (out / "model").mkdir(parents=True, exist_ok=True)
    write_predictions(out / "predictions.ndjson", weights, test, tags)
    (out / "model" / "model.json").write_text(json.dumps({"tags": tags, "weights": weights}))
    (out / "metrics.json").write_text(json.dumps(reached))


if __name__ == "__main__":
    main()
