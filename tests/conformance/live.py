"""The same calls to the real Labelbox and to the emulator, and how their answers differ.

Usage: python live.py '<the line that trainhook emulate --json printed>'
Environment: LABELBOX_API_KEY, and optionally LABELBOX_ENDPOINT and LABELBOX_MODEL_ID.
Ends with 1 if there is a difference in what the server relies on: HTTP statuses, error codes, the names and kinds
of what is answered, and the values that were told before. The words of errors are shown and may differ.
"""

import json
import os
import re
import sys
import uuid

import labelbox
import requests
from labelbox.schema.model import Model

EMULATOR_KEY = "emulated-key"
LABELBOX = "https://api.labelbox.com/graphql"
PATIENCE_SECONDS = 60

STATUSES = ["EXPORTING_DATA", "PREPARING_DATA", "TRAINING_MODEL", "COMPLETE", "FAILED"]
RUN_FIELDS = "id modelId name trainingMetadata createdAt updatedAt createdBy"

UPDATE = """mutation setPipelineStatusPyApi($modelRunId: ID!, $data: UpdateTrainingPipelineInput!) {
    updateTrainingPipeline(modelRun: {id: $modelRunId}, data: $data) {status}}"""
READ_BACK = """query trainingPipelinePyApi($modelRunId: ID!) {
    trainingPipeline(where: {id: $modelRunId}) {status, errorMessage, metadata}}"""
MODEL_RUN = """query getModelRunPyApi($modelRunId: ID!) {
    modelRun(where: {id: $modelRunId}) {%s}}""" % RUN_FIELDS
CREATE_RUN = """mutation CreateModelRunPyApi($name: String!, $modelId: ID!) {
    createModelRun(data: {name: $name, modelId: $modelId}) {id}}"""
UPDATE_CONFIG = """mutation updateModelRunConfigPyApi($modelRunId: ID!, $config: Json!) {
    updateModelRunConfig(modelRun: {id: $modelRunId}, data: {config: $config}) {trainingMetadata}}"""
RESET_CONFIG = """mutation resetModelRunConfigPyApi($modelRunId: ID!) {
    resetModelRunConfig(modelRun: {id: $modelRunId}) {trainingMetadata}}"""

ID = re.compile(r"^[0-9a-f]{8}-[0-9a-f-]{27}$|^c[a-z0-9]{24}$")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z$")


class Side:
    """One of the two, with a fresh model run."""

    def __init__(self, graphql, key, model_run_id):
        self.graphql = graphql
        self.experimental = graphql.removesuffix("/graphql") + "/_gql"
        self.key = key
        self.model_run_id = model_run_id

    def call(self, query, experimental=False, key=None, **variables):
        address = self.experimental if experimental else self.graphql
        reply = requests.post(
            address,
            json={"query": query, "variables": {"modelRunId": self.model_run_id, **variables}},
            headers={"Authorization": f"Bearer {key or self.key}"},
            timeout=PATIENCE_SECONDS,
            allow_redirects=False,
        )
        try:
            return reply.status_code, reply.json()
        except ValueError:
            return reply.status_code, reply.text

    def update(self, **data):
        return self.call(UPDATE, experimental=True, data=data)

    def read_back(self):
        return self.call(READ_BACK, experimental=True)


def steps():
    """What is asked of both, in this order: each step builds on those before it."""
    yield "the run", lambda side: side.call(MODEL_RUN)
    yield "nothing was told yet", Side.read_back
    for status in STATUSES:
        yield f"told {status}", lambda side: side.update(status=status)
        yield f"{status} is read back", Side.read_back
    yield "metadata", lambda side: side.update(status="TRAINING_MODEL", metadata={"a": "1", "b": "é"})
    yield "metadata merges", lambda side: side.update(status="COMPLETE", metadata={"b": "", "c": "3"})
    yield "merged metadata is read back", Side.read_back
    yield "a message", lambda side: side.update(status="FAILED", errorMessage="x" * 255)
    yield "COMPLETE after a message", lambda side: side.update(status="COMPLETE")
    yield "the message sticks", Side.read_back
    yield "an empty message", lambda side: side.update(status="COMPLETE", errorMessage="")
    yield "an empty message is read back", Side.read_back
    yield "a message too long", lambda side: side.update(status="FAILED", errorMessage="x" * 256)
    yield "metadata that is no text", lambda side: side.update(status="FAILED", metadata={"epoch": 1})
    yield "a status that is none", lambda side: side.update(status="DONE")
    yield "a status at /graphql", lambda side: side.call(READ_BACK)
    yield "an unknown field", lambda side: side.call("query { nobody { id } }")
    yield "a broken query", lambda side: side.call("query {")
    unknown = str(uuid.UUID(int=0))
    yield "an unknown run", lambda side: side.call(MODEL_RUN, modelRunId=unknown)
    yield "an update of an unknown run", lambda side: side.call(
        UPDATE, experimental=True, modelRunId=unknown, data={"status": "COMPLETE"}
    )
    yield "another key", lambda side: side.call(MODEL_RUN, key="not-a-key-of-anybody")
    config = {"batch_size": 16, "nested": {"learningRate": 0.01}}
    yield "a config", lambda side: side.call(UPDATE_CONFIG, config=config)
    yield "the config is read back", lambda side: side.call(MODEL_RUN)
    yield "the config is reset", lambda side: side.call(RESET_CONFIG)


def emulated_side(ready, name):
    """The emulator with a run of the same name."""
    side = Side(ready["graphql"], EMULATOR_KEY, ready["modelRunId"])
    _, answer = side.call(CREATE_RUN, name=name, modelId=ready["modelId"])
    side.model_run_id = answer["data"]["createModelRun"]["id"]
    return side


def essence(answer, model_run_id):
    """What of an answer the two must have in common."""
    if isinstance(answer, dict):
        if "errors" in answer:
            codes = [error.get("extensions", {}).get("code") for error in answer["errors"]]
            return {"errors": codes, "data": essence(answer.get("data"), model_run_id)}
        return {key: essence(value, model_run_id) for key, value in sorted(answer.items())}
    if isinstance(answer, list):
        return [essence(value, model_run_id) for value in answer]
    if answer == model_run_id:
        return "<the run>"
    if isinstance(answer, str) and ID.match(answer):
        return "<an id>"
    if isinstance(answer, str) and TIME.match(answer):
        return "<a time>"
    return answer


def compare(real, emulated):
    differences = 0
    for what, ask in steps():
        answers = [(side, *ask(side)) for side in (real, emulated)]
        wanted, got = ((status, essence(body, side.model_run_id)) for side, status, body in answers)
        if wanted == got:
            print(f"same       {what}", flush=True)
            continue
        differences += 1
        print(f"DIFFERENT  {what}")
        for name, (_, status, body) in zip(("labelbox", "emulator"), answers):
            print(f"    {name}: {status} {json.dumps(body, ensure_ascii=False)[:2000]}", flush=True)
    return differences


class ThrowAway:
    """A model run of the real Labelbox, and what had to be made for it; deleted at the end."""

    def __init__(self, client, model_id):
        self.client = client
        self.made = []
        name = f"trainhook live check {uuid.uuid4()}"
        if model_id is None:
            tools = [{"tool": "rectangle", "name": "thing", "required": False, "color": "#ff0000"}]
            ontology = client.create_ontology(name, {"tools": tools, "classifications": []})
            self.made.append(("ontology", ontology.uid, lambda: client.delete_unused_ontology(ontology.uid)))
            model = client.create_model(name, ontology.uid)
            self.made.append(("model", model.uid, model.delete))
        else:
            model = Model(client, {"id": model_id, "name": "given", "ontologyId": "not needed"})
        self.run = model.create_model_run(name)
        self.made.append(("model run", self.run.uid, self.run.delete))

    def delete(self):
        for kind, uid, delete in reversed(self.made):
            try:
                delete()
            except Exception as error:  # Whatever it is, the rest must go, and somebody must be told.
                print(f"the {kind} {uid} could not be deleted, please do so: {error}", file=sys.stderr)


def main():
    ready = json.loads(sys.argv[1])
    graphql = os.environ.get("LABELBOX_ENDPOINT", LABELBOX)
    key = os.environ["LABELBOX_API_KEY"]
    client = labelbox.Client(api_key=key, endpoint=graphql, enable_experimental=True)
    throw_away = ThrowAway(client, os.environ.get("LABELBOX_MODEL_ID"))
    try:
        real = Side(graphql, key, throw_away.run.uid)
        emulated = emulated_side(ready, throw_away.run.name)
        differences = compare(real, emulated)
    finally:
        throw_away.delete()
    print(f"{differences} differences")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
