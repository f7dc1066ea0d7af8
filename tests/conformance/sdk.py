"""Labelbox's own Python SDK against the emulator.

Usage: python sdk.py '<the line that trainhook emulate --json printed>'
The API key is in the environment variable EMULATOR_API_KEY.
Prints one line for each check that holds; ends with the first one that does not.
"""

import json
import os
import sys

import labelbox
from labelbox.schema.model import Model
from labelbox.schema.model_run import ModelRun
from lbox.exceptions import (
    AuthenticationError,
    InvalidQueryError,
    MalformedQueryException,
    ResourceNotFoundError,
)
from sdk_data import check_data

PIPELINE_QUERY = """query trainingPipelinePyApi($modelRunId: ID!) {
    trainingPipeline(where: {id : $modelRunId}) {status, errorMessage, metadata}}"""


def connect(graphql, key):
    return labelbox.Client(api_key=key, endpoint=graphql, enable_experimental=True)


def pipeline(client, model_run):
    data = client.execute(PIPELINE_QUERY, {"modelRunId": model_run.uid}, experimental=True)
    return data["trainingPipeline"]


def expect(fact, actual, wanted):
    if actual != wanted:
        sys.exit(f"FAILED {fact}: {actual!r} instead of {wanted!r}")
    print(f"ok {fact}", flush=True)


def expect_raised(fact, error_type, act):
    try:
        result = act()
    except error_type:
        print(f"ok {fact}", flush=True)
        return
    sys.exit(f"FAILED {fact}: {result!r} instead of {error_type.__name__}")


def check_model_run(client, ready):
    model_run = client.get_model_run(ready["modelRunId"])
    expect("a model run is found by its id", model_run.uid, ready["modelRunId"])
    expect("a model run knows its model", model_run.model_id, ready["modelId"])
    expect_raised(
        "an unknown model run is not found",
        ResourceNotFoundError,
        lambda: client.get_model_run("00000000-0000-0000-0000-000000000000"),
    )
    return model_run


def check_statuses(client, model_run):
    empty = {"status": None, "errorMessage": None, "metadata": None}
    expect("nothing is reported before the first update", pipeline(client, model_run), empty)
    for status in ModelRun.Status:
        model_run.update_status(status)
        shown = pipeline(client, model_run)
        expect(f"{status.value} alone is taken", shown, {**empty, "status": status.value})
    merged = {}
    for number, status in enumerate(ModelRun.Status):
        metadata = {f"key{number}": "\u00e9 value"}
        merged.update(metadata)
        model_run.update_status(status, metadata=metadata)
        shown = pipeline(client, model_run)
        expect(f"metadata merges with {status.value}", shown["metadata"], merged)
    for status in ModelRun.Status:
        message = f'{status.value} "went" wrong\nhere'
        model_run.update_status(status, error_message=message)
        shown = pipeline(client, model_run)
        expect(f"a message is taken with {status.value}", shown["errorMessage"], message)
    model_run.update_status("COMPLETE", metadata={"key0": "new"})
    shown = pipeline(client, model_run)
    expect("a message sticks", shown["errorMessage"], message)
    expect("a value of metadata is replaced", shown["metadata"], {**merged, "key0": "new"})


def check_refusals(client, model_run):
    expect_raised(
        "a message over 255 characters is refused",
        MalformedQueryException,
        lambda: model_run.update_status("FAILED", error_message="x" * 256),
    )
    expect_raised(
        "metadata other than text is refused",
        MalformedQueryException,
        lambda: model_run.update_status("FAILED", metadata={"epoch": 1}),
    )
    expect_raised(
        "a status query at /graphql is refused",
        InvalidQueryError,
        lambda: client.execute(PIPELINE_QUERY, {"modelRunId": model_run.uid}),
    )
    shown = pipeline(client, model_run)
    expect("a refused update changes nothing", shown["status"], "COMPLETE")


def check_config(model_run):
    expect("there is no config at first", model_run.get_config(), None)
    config = {"batch_size": 16, "nested": {"learningRate": 0.01}}
    answer = model_run.update_config(config)
    expect("an updated config is answered", answer, {"trainingMetadata": config})
    expect("an updated config is kept", model_run.get_config(), config)
    expect("a reset config is answered", model_run.reset_config(), {"trainingMetadata": None})
    expect("a reset config is gone", model_run.get_config(), None)


def check_new_run(client, ready):
    model = Model(client, {"id": ready["modelId"], "name": "model", "ontologyId": "none"})
    created = model.create_model_run("second run", config={"batch_size": 2})
    found = client.get_model_run(created.uid)
    expect("a created model run is found", found.name, "second run")
    expect("the keys of its config are in camel case", found.get_config(), {"batchSize": 2})


def check_keys(ready):
    bad = connect(ready["graphql"], "not-the-key")
    expect_raised(
        "a wrong key is refused",
        AuthenticationError,
        lambda: bad.get_model_run(ready["modelRunId"]),
    )
    user = connect(ready["graphql"], os.environ["EMULATOR_API_KEY"]).get_user()
    expect("a key belongs to a user", bool(user.uid), True)


def main():
    ready = json.loads(sys.argv[1])
    client = connect(ready["graphql"], os.environ["EMULATOR_API_KEY"])
    model_run = check_model_run(client, ready)
    check_statuses(client, model_run)
    check_refusals(client, model_run)
    check_config(model_run)
    check_new_run(client, ready)
    check_keys(ready)
    check_data(client, ready, expect, expect_raised)
    print(f"all checks passed with labelbox {labelbox.__version__}")


main()
