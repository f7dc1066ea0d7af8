"""Exports a model run with Labelbox's own SDK into a file; prints seconds, rows and peak memory in bytes as JSON."""

import json
import resource
import sys
import time

from labelbox import Client

endpoint, key, model_run_id, path = sys.argv[1:]
client = Client(api_key=key, endpoint=endpoint, rest_endpoint=endpoint)
model_run = client.get_model_run(model_run_id)
begun = time.monotonic()
task = model_run.export()
task.wait_till_done()
rows = 0
with open(path, "w") as out:
    for output in task.get_buffered_stream():
        out.write(json.dumps(output.json) + "\n")
        rows += 1
seconds = time.monotonic() - begun
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": seconds, "rows": rows, "peak": peak}))
