"""Reads what trainhook writes with the readers that trainings use, and says in JSON what they found.

Usage: formats.py coco DATA SPLIT | results DATA SPLIT OUT | yolo DATA SPLIT | hf DATA [CONFIGURATION]
"""

import contextlib
import json
import os
import pathlib
import sys


def coco(data, split):
    """All that pycocotools finds, each mask as rows of zeros and ones."""
    found = opened(data, split)
    annotations = []
    for annotation in found.loadAnns(found.getAnnIds()):
        mask = found.annToMask(annotation).tolist() if annotation["segmentation"] else None
        annotations.append({
            "image": found.loadImgs(annotation["image_id"])[0]["data_row_id"],
            "category": found.loadCats(annotation["category_id"])[0]["name"],
            "bbox": annotation["bbox"],
            "area": annotation["area"],
            "iscrowd": annotation["iscrowd"],
            "mask": mask,
        })
    images = [{**image, "pixels": pixels(data / image["file_name"])} for image in found.dataset["images"]]
    return {"images": images, "categories": found.dataset["categories"], "annotations": annotations}


def results(data, split, out):
    """Writes each annotation as a result, as pycocotools would; its own evaluation must find them all."""
    from pycocotools.cocoeval import COCOeval

    found = opened(data, split)
    predicted = []
    for annotation in found.loadAnns(found.getAnnIds()):
        result = {key: annotation[key] for key in ("image_id", "category_id", "bbox")}
        result["score"] = 0.75
        if annotation["segmentation"]:
            runs = found.annToRLE(annotation)
            counts = runs["counts"]
            text = counts.decode() if isinstance(counts, bytes) else counts
            result["segmentation"] = {"size": runs["size"], "counts": text}
        predicted.append(result)
    out.mkdir(parents=True, exist_ok=True)
    (out / "coco_results.json").write_text(json.dumps(predicted))
    evaluation = COCOeval(found, found.loadRes(str(out / "coco_results.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return {"precision": evaluation.stats[0]}


def opened(data, split):
    from pycocotools.coco import COCO

    return COCO(str(data / "coco" / f"{split}.json"))


def yolo(data, split):
    """What ultralytics' documentation says is there: a list of images, and for each the labels beside it."""
    import yaml

    described = yaml.safe_load((data / "yolo" / "data.yaml").read_text(encoding="utf-8"))
    folder = data / "yolo" / "images" / split
    images = {}
    for image in sorted(folder.iterdir()):
        labels = str(image).replace("/images/", "/labels/").rsplit(".", 1)[0] + ".txt"
        lines = pathlib.Path(labels).read_text().splitlines()
        rows = [[float(number) for number in line.split()] for line in lines]
        assert all(0 <= number <= 1 for row in rows for number in row[1:]), rows
        size = pixels(image)
        filled = [inside(row[1:], *size) for row in rows if len(row) > 5]
        images[image.name] = {"pixels": size, "labels": rows, "filled": filled}
    return {"yaml": described, "images": images}


def inside(flat, width, height):
    """Pixels whose centre lies within an outline, by the rule of even and odd."""
    points = [(x * width, y * height) for x, y in zip(flat[::2], flat[1::2])]
    edges = list(zip(points, points[1:] + points[:1]))

    def within(x, y):
        crossed = [a for a, b in edges if (a[1] > y) != (b[1] > y) and x < a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0])]
        return len(crossed) % 2

    return [[within(x + 0.5, y + 0.5) for x in range(width)] for y in range(height)]


def hf(data, configuration=None):
    """All that `datasets` finds when it is given the folder and nothing else but a configuration's name."""
    from datasets import load_dataset

    found = load_dataset(str(data / "hf"), configuration)

    def plain(value):
        return list(value.size) if hasattr(value, "getpixel") else value

    rows = {split: [{key: plain(value) for key, value in row.items()} for row in part] for split, part in found.items()}
    features = next(iter(found.values())).features
    return {"rows": rows, "features": {name: str(feature) for name, feature in features.items()}}


def pixels(path):
    from PIL import Image

    with Image.open(path) as image:
        return list(image.size)


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    subject, data, *rest = sys.argv[1:]
    subjects = {"coco": coco, "results": results, "yolo": yolo, "hf": hf}
    if subject == "results":
        rest[1] = pathlib.Path(rest[1])
    # Readers talk; what is found goes out alone.
    with contextlib.redirect_stdout(sys.stderr):
        answer = subjects[subject](pathlib.Path(data), *rest)
    print(json.dumps(answer))
