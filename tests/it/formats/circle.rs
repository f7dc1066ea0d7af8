//! Formats in the whole circle: written for the command, and its results brought back into Labelbox.

use trainhook::emulator::Dataset;

use crate::support::stack::{Stack, job_id, model, statuses};

/// Takes every label of the test split for a result, as a perfect detector would, and one of a class that is none.
const DETECTOR: &str = "python3 - <<'EOF'
import json, os
data, out = os.environ['TRAINHOOK_DATA_DIR'], os.environ['TRAINHOOK_OUT_DIR']
truth = json.load(open(f'{data}/coco/test.json'))
results = [{'image_id': a['image_id'], 'category_id': a['category_id'], 'score': 0.9,
            **({'segmentation': a['segmentation']} if a.get('segmentation') else {'bbox': a['bbox']})}
           for a in truth['annotations']]
results += json.loads(os.environ.get('MORE', '[]'))
json.dump(results, open(f'{out}/coco_results.json', 'w'))
EOF";

fn detector(settings: &str) -> String {
    let settings = format!("formats = [\"coco\"]\nexport = {{ files = true }}\n{settings}");
    let script = DETECTOR.replace('{', "{{").replace('}', "}}");
    model("shapes", &script, &settings).replace("export = false\n", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn results_in_coco_become_predictions_of_the_run() {
    let stack = Stack::start(&detector("")).await;
    let run = stack.new_run();
    stack.emulator.set_dataset(&run, Some(Dataset::shapes()));
    stack.click(&run, "shapes").await;
    let told = stack.told(&run, "COMPLETE").await;
    assert_eq!(statuses(&told).last(), Some(&"COMPLETE"));
    let arrived = stack.emulator.predictions(&run).expect("a run");
    assert!(arrived.predictions > 20, "{arrived:?}");
    assert_eq!(arrived.imports[0].refused, 0, "{arrived:?}");
    let boxes = arrived
        .features
        .values()
        .filter(|feature| feature.labels > 0);
    for feature in boxes {
        assert_eq!(feature.right, feature.labels, "{arrived:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_none_is_refused_by_its_place() {
    let more = "env = { MORE = '[{\"image_id\": 1, \"category_id\": 99, \"bbox\": [1, 1, 2, 2], \"score\": 0.5}]' }";
    let stack = Stack::start(&detector(more)).await;
    let run = stack.new_run();
    stack.emulator.set_dataset(&run, Some(Dataset::shapes()));
    let id = job_id(&stack.click(&run, "shapes").await);
    let told = stack.told(&run, "FAILED").await;
    let message = told.iter().find_map(|entry| entry.error_message.clone());
    let message = message.expect("a reason");
    assert!(
        message.contains("predictions was refused: coco_results.json, result "),
        "{message}"
    );
    let rejected = format!("jobs/{id}/server/predictions.rejected.ndjson");
    let rejected = stack.lines(&rejected);
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert!(rejected[0].contains("\"read_back\":"), "{rejected:?}");
}
