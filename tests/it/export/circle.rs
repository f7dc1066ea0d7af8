//! From a click to files that hold the run's rows by their splits.

use std::fs;

use sha2::{Digest, Sha256};
use trainhook::{
    dataset::{RowIndex, Split},
    emulator::Dataset,
};

use super::{lines, model, read_json, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_command_finds_its_rows_in_the_file_of_their_split() {
    let script = "cp -r $TRAINHOOK_DATA_DIR/ seen; wc -l < $TRAINHOOK_TRAINING_FILE > rows; \
                  wc -l < $TRAINHOOK_VALIDATION_FILE >> rows; wc -l < $TRAINHOOK_TEST_FILE >> rows; \
                  cp $TRAINHOOK_REQUEST_FILE request";
    let stack = start(&model("digits", script, "")).await;
    let (run, id) = stack.click_with(&Dataset::digits(), "digits").await;
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("rows"), ["1000", "297", "500"]);
    let dir = stack.job_dir(&id);
    let first = &lines(&dir, "validation.ndjson")[0];
    assert_eq!(first["data_row"]["global_key"], "digit-1000");
    assert_eq!(lines(&dir, "unassigned.ndjson").len(), 0);
    let manifest = read_json(&dir.join("data/manifest.json"));
    assert_eq!(manifest["rows"], 1797);
    for split in ["training", "validation", "test", "unassigned"] {
        let noted = &manifest["splits"][split];
        let content = fs::read(
            dir.join("data")
                .join(noted["file"].as_str().expect("a name")),
        );
        let content = content.expect("the file is there");
        assert_eq!(noted["bytes"], content.len());
        let digest: String = Sha256::digest(&content)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(noted["sha256"], digest, "{split}");
    }
    let ontology = read_json(&dir.join("data/ontology.json"));
    assert_eq!(ontology["classifications"][0]["options"][7]["name"], "7");
    let index = RowIndex::open(&dir.join("server/rows.index")).expect("an index");
    assert_eq!(index.len(), 1797);
    let row = index.by_global_key("digit-1796").expect("it is there");
    assert_eq!(
        (row.number, row.split, row.size),
        (1796, Split::Test, Some((8, 8)))
    );
    assert_eq!(
        index
            .by_id(first["data_row"]["id"].as_str().expect("an id"))
            .map(|row| row.number),
        Some(1000)
    );
    assert_eq!(stack.emulator.export_tasks(), 1);
}
