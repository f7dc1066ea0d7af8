//! A run's data rows, the splits they belong to, and the ontology of their labels.
//!
//! Questions and answers: captured from labelbox 7.17.0.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    dataset::{Dataset, Row, RowData, SPLITS},
    document::Asked,
    graphql::{Refusal, Reply},
    resolve::id_in,
    run::ModelRun,
    world::World,
};

/// Rows on a page at most.
const PAGE_LIMIT: u64 = 1000;

/// What is asked of a run's rows by whoever wants their splits alone.
const SPLITS_ALONE: [&str; 3] = ["nodes.dataSplit", "nodes.dataRow.id", "pageInfo.endCursor"];

/// The answer to that. A run may have a million rows: nothing is made that nobody asks for, and what is made is made once.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SplitPage {
    nodes: Vec<SplitNode>,
    page_info: PageInfo,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SplitNode {
    data_split: Option<&'static str>,
    data_row: RowId,
}

#[derive(Debug, Serialize)]
struct RowId {
    id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    end_cursor: Option<String>,
}

/// When everything here was made.
const LONG_AGO: &str = "2024-01-01T00:00:00.000Z";

pub(super) fn annotation_groups(
    world: &mut World,
    asked: &Asked,
    now: Timestamp,
) -> Result<Reply, Refusal> {
    let of = asked.arguments.get("where").unwrap_or(&Value::Null);
    let run = of["modelRunId"]["id"].as_str();
    let run = run.ok_or_else(|| Refusal::invalid("where.modelRunId must hold an \"id\""))?;
    let run = world.run(run).ok_or_else(Refusal::not_found)?;
    let from = match asked.arguments.get("after") {
        None | Some(Value::Null) => 0,
        Some(cursor) => {
            place(cursor).ok_or_else(|| Refusal::invalid("after is no cursor of ours"))?
        }
    };
    let first = asked
        .arguments
        .get("first")
        .and_then(Value::as_u64)
        .unwrap_or(100);
    let first = usize::try_from(first.min(PAGE_LIMIT)).unwrap_or_default();
    let rows = run.dataset.as_ref().map_or(0, |dataset| dataset.len());
    let to = from.saturating_add(first).min(rows);
    let end_cursor = (to > from).then(|| format!("after-{to}"));
    if asked.asks_for(&SPLITS_ALONE) {
        return Ok(Reply::Splits(SplitPage {
            nodes: (from..to).filter_map(|at| split_node(run, at)).collect(),
            page_info: PageInfo { end_cursor },
        }));
    }
    let node = |at| world.node(run, at, now);
    let nodes: Vec<Value> = (from..to).filter_map(node).collect();
    let page = json!({ "nodes": nodes, "pageInfo": { "endCursor": end_cursor } });
    Ok(Reply::Value(page))
}

fn split_node(run: &ModelRun, at: usize) -> Option<SplitNode> {
    let (id, split) = run.dataset.as_ref()?.id_and_split(at)?;
    let split = run.splits.get(&at).copied().unwrap_or(split);
    Some(SplitNode {
        data_split: SPLITS.get(split).copied(),
        data_row: RowId { id },
    })
}

fn place(cursor: &Value) -> Option<usize> {
    cursor.as_str()?.strip_prefix("after-")?.parse().ok()
}

impl World {
    /// A row in its split, with all that there is of it now.
    fn node(&self, run: &ModelRun, at: usize, now: Timestamp) -> Option<Value> {
        let SplitNode {
            data_split,
            data_row: RowId { id },
        } = split_node(run, at)?;
        let row = run.dataset.as_ref()?.row(at)?;
        Some(json!({
            "dataSplit": data_split,
            "labelId": row.label_id(),
            "modelRunId": run.id,
            "id": format!("{id}run"),
            "dataRow": self.data_row(&row, now),
        }))
    }

    fn data_row(&self, row: &Row, now: Timestamp) -> Value {
        let row_data = match &row.row_data {
            RowData::Given(text) => text.clone(),
            RowData::Own(file) => self.signer.address(&format!("/files/media/{file}"), now),
        };
        json!({
            "createdAt": LONG_AGO, "updatedAt": LONG_AGO, "id": row.id, "externalId": row.external_id,
            "globalKey": row.global_key, "mediaAttributes": row.media_attributes, "rowData": row_data,
            "customMetadata": [], "metadataFields": [],
        })
    }
}

pub(super) fn model(world: &mut World, asked: &Asked, _: Timestamp) -> Result<Value, Refusal> {
    let id = id_in(asked, "where")?;
    let run = world.run_of_model(id).ok_or_else(Refusal::not_found)?;
    let ontology_id = run.dataset.as_ref().map(|_| ontology_id(&run.id));
    Ok(json!({ "name": "emulated", "ontologyId": ontology_id, "id": id }))
}

/// An ontology is known by a run that follows it.
fn ontology_id(model_run_id: &str) -> String {
    format!("cl0ontology-{model_run_id}")
}

pub(super) fn ontology(world: &mut World, asked: &Asked, _: Timestamp) -> Result<Value, Refusal> {
    let id = id_in(asked, "where")?;
    let run = id
        .strip_prefix("cl0ontology-")
        .and_then(|run| world.run(run));
    let dataset = run.and_then(|run| run.dataset.as_ref());
    let dataset = dataset.ok_or_else(Refusal::not_found)?;
    Ok(show_ontology(id, dataset))
}

fn show_ontology(id: &str, dataset: &Dataset) -> Value {
    let normalized = dataset.normalized();
    let count = |key: &str| normalized[key].as_array().map_or(0, Vec::len);
    json!({
        "id": id,
        "name": dataset.name(),
        "description": null,
        "mediaType": dataset.media_type(),
        "createdAt": LONG_AGO,
        "updatedAt": LONG_AGO,
        "objectSchemaCount": count("tools"),
        "classificationSchemaCount": count("classifications"),
        "normalized": normalized,
    })
}

pub(super) fn assign_splits(
    world: &mut World,
    asked: &Asked,
    _: Timestamp,
) -> Result<Value, Refusal> {
    let run = id_in(asked, "modelRun")?.to_owned();
    let data = asked.arguments.get("data").unwrap_or(&Value::Null);
    let assignments = data["assignments"].as_array().cloned().unwrap_or_default();
    let run = world.run_mut(&run).ok_or_else(Refusal::not_found)?;
    for assignment in &assignments {
        assign(run, assignment)?;
    }
    // It is done at once; whoever asks for the task learns that.
    Ok(json!("split-task"))
}

fn assign(run: &mut ModelRun, assignment: &Value) -> Result<(), Refusal> {
    let split = SPLITS
        .iter()
        .position(|split| assignment["split"] == **split);
    let split = split.ok_or_else(|| Refusal::invalid("split is none of Labelbox's"))?;
    let names = ["dataRowIds", "globalKeys"].iter();
    let names = names
        .filter_map(|key| assignment[*key].as_array())
        .flatten();
    let Some(dataset) = run.dataset.clone() else {
        return Ok(());
    };
    for at in names.filter_map(|name| dataset.find(name.as_str()?)) {
        run.splits.insert(at, split);
    }
    Ok(())
}

pub(super) fn split_task_status(_: &mut World, _: &Asked, _: Timestamp) -> Result<Value, Refusal> {
    let status: Map<String, Value> = [
        ("status".to_owned(), json!("COMPLETE")),
        ("errorMessage".to_owned(), Value::Null),
    ]
    .into_iter()
    .collect();
    Ok(Value::Object(status))
}
