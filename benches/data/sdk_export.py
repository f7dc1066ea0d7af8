"""Exports a model run with Labelbox's own SDK into a file, and asks for its splits; prints seconds of both and
of the rows alone, seconds of processor time, and peak memory in bytes as JSON."""

import json
import resource
import sys
import time

from labelbox import Client

endpoint, key, model_run_id, path = sys.argv[1:]
client = Client(api_key=key, endpoint=endpoint, rest_endpoint=endpoint)
model_run = client.get_model_run(model_run_id)
begun, processor = time.monotonic(), time.process_time()
task = model_run.export()
task.wait_till_done()
ready = time.monotonic()
rows = 0
with open(path, "w") as out:
    for output in task.get_buffered_stream():
        out.write(json.dumps(output.json) + "\n")
        rows += 1
rows_seconds = time.monotonic() - ready
splits = {node.data_row.value["id"]: node.data_split for node in model_run.model_run_data_rows()}
assert len(splits) == rows
seconds, processor = time.monotonic() - begun, time.process_time() - processor
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"rows": rows, "rows_seconds": rows_seconds, "seconds": seconds, "processor": processor, "peak": peak}))
