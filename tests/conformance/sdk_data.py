"""What the SDK does with a run's data rows: export, splits, ontology, imports of predictions."""

import json
import tempfile
import uuid
from collections import Counter

import requests
from labelbox import Ontology
from labelbox.schema.model import Model

ROWS = 1797


def run_with_digits(client, ready):
    made = requests.post(f"{ready['control']}/model-runs", json={"dataset": "digits"}, timeout=30)
    return client.get_model_run(made.json()["modelRunId"])


def shown(ready, model_run):
    return requests.get(f"{ready['control']}/model-runs/{model_run.uid}", timeout=30).json()


def label_of(row, model_run):
    run = row["experiments"][model_run.model_id]["runs"][model_run.uid]
    return run["labels"][0]["annotations"]["classifications"][0]["radio_answer"]["name"]


def check_export(model_run, expect):
    task = model_run.export(params={"data_row_details": True})
    task.wait_till_done()
    expect("an export completes", str(getattr(task.status, "name", task.status)), "COMPLETE")
    expect("an export has no errors", task.has_errors(), False)
    rows = [output.json for output in task.get_buffered_stream()]
    expect("an export streams every row, over files cut anywhere", len(rows), ROWS)
    row = rows[41]
    expect("a row has its global key", row["data_row"]["global_key"], "digit-0041")
    expect("details are there if asked for", "details" in row["data_row"], True)
    image = requests.get(row["data_row"]["row_data"], timeout=30)
    expect("a row's image is a PNG", image.content[:4], b"\x89PNG")
    return {row["data_row"]["global_key"]: label_of(row, model_run) for row in rows}


def check_splits(model_run, expect):
    splits = Counter(row.data_split.name for row in model_run.model_run_data_rows())
    expect("rows come in pages with their splits", dict(splits), {"TRAINING": 1000, "VALIDATION": 297, "TEST": 500})
    model_run.assign_data_rows_to_split(global_keys=["digit-0000"], split="TEST", timeout_seconds=30)
    first = next(iter(model_run.model_run_data_rows()))
    expect("an assigned split is kept", first.data_split.name, "TEST")


def check_ontology(client, model_run, expect):
    model = client._get_single(Model, model_run.model_id)
    ontology = client.get_ontology(model.ontology_id)
    names = [classification.name for classification in ontology.classifications()]
    expect("a model leads to its ontology", names, ["digit"])
    options = [option.value for option in ontology.classifications()[0].options]
    expect("the ontology has its options", options, [str(digit) for digit in range(10)])
    expect("the ontology is the SDK's", isinstance(ontology, Ontology), True)


def prediction(key, digit):
    answer = {"name": digit, "confidence": 0.9}
    return {"uuid": str(uuid.uuid4()), "dataRow": {"globalKey": key}, "name": "digit", "answer": answer}


def check_imports(ready, model_run, labels, expect):
    keys = sorted(labels)[:20]
    wrong = {keys[0]: "1" if labels[keys[0]] != "1" else "2"}
    predictions = [prediction(key, wrong.get(key, labels[key])) for key in keys]
    task = model_run.add_predictions("from objects", predictions)
    task.wait_till_done(sleep_time_seconds=1)
    expect("predictions made of objects are imported", task.state.name, "FINISHED")
    statuses = Counter(line["status"] for line in task.statuses)
    expect("each of them has a status", dict(statuses), {"SUCCESS": 20})
    expect("none of them has an error", list(task.errors), [])

    good, bad = keys[1], {"dataRow": {"globalKey": "nobody"}, "name": "digit", "answer": {"name": "1"}}
    lines = [
        {"uuid": str(uuid.uuid4()), "dataRow": {"globalKey": good}, "name": "digit", "answer": {"name": labels[good]}},
        {"uuid": str(uuid.uuid4()), **bad},
        {"uuid": str(uuid.uuid4()), "dataRow": {"globalKey": good}, "name": "letter", "answer": {"name": "a"}},
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".ndjson") as file:
        file.write("\n".join(json.dumps(line) for line in lines))
        file.flush()
        task = model_run.add_predictions("from a file", file.name)
        task.wait_till_done(sleep_time_seconds=1)
    expect("an import with refused lines finishes", task.state.name, "FINISHED")
    statuses = [(line["uuid"], line["status"]) for line in task.statuses]
    wanted = list(zip([line["uuid"] for line in lines], ["SUCCESS", "FAILURE", "FAILURE"]))
    expect("taken and refused lines have their statuses, in order", statuses, wanted)
    rows = [line["dataRow"] for line in task.statuses]
    expect("each status names its row", rows, [line["dataRow"] for line in lines])
    refused = [line["uuid"] for line in task.errors]
    expect("refused lines are told", refused, [line["uuid"] for line in lines[1:]])
    reasons = [line["errors"][0]["message"] for line in task.errors]
    expect("with their reasons", all(reasons) and len(set(reasons)) == 2, True)

    summary = shown(ready, model_run)["predictions"]
    expect("what was taken is counted", summary["predictions"], 21)
    digit = summary["features"]["digit"]
    expect("and compared with the labels", (digit["labels"], digit["right"]), (20, 19))


def check_failed_import(ready, model_run, labels, expect, expect_raised):
    fault = {"operation": "createModelErrorAnalysisPredictionImport", "kind": {"fails": {"message": "out of luck"}}}
    requests.post(f"{ready['control']}/faults", json=fault, timeout=30).raise_for_status()
    key = sorted(labels)[30]
    before = shown(ready, model_run)["predictions"]["predictions"]
    task = model_run.add_predictions("fails as a whole", [prediction(key, labels[key])])
    task.wait_till_done(sleep_time_seconds=1)
    expect("an import can fail as a whole", task.state.name, "FAILED")
    expect_raised("a failed import has no statuses", ValueError, lambda: task.statuses)
    expect_raised("a failed import has no errors of single lines", ValueError, lambda: task.errors)
    after = shown(ready, model_run)["predictions"]["predictions"]
    expect("nothing of a failed import is taken", after, before)


def check_empty_export(client, ready, expect, expect_raised):
    made = requests.post(f"{ready['control']}/model-runs", json={}, timeout=30).json()
    task = client.get_model_run(made["modelRunId"]).export()
    task.wait_till_done()
    expect("an export of no rows completes", str(getattr(task.status, "name", task.status)), "COMPLETE")
    expect("it has no result", task.has_result(), False)
    expect("and no errors", task.has_errors(), False)
    expect_raised("there is nothing to stream", ValueError, task.get_buffered_stream)


def check_data(client, ready, expect, expect_raised):
    model_run = run_with_digits(client, ready)
    labels = check_export(model_run, expect)
    check_splits(model_run, expect)
    check_ontology(client, model_run, expect)
    check_imports(ready, model_run, labels, expect)
    check_failed_import(ready, model_run, labels, expect, expect_raised)
    check_empty_export(client, ready, expect, expect_raised)
