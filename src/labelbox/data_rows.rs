//! Which split each data row of a model run belongs to. An export does not tell.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::{
    Labelbox, LabelboxError,
    call::{Api, Call},
};
use crate::{dataset::Split, job::ModelRunId};

/// Captured from labelbox 7.17.0 (`ModelRun.model_run_data_rows`), which asks for more of each row.
const GET_DATA_ROWS: &str = "query modelRunPyApi($modelRunId: ID!, $from : String, $first: Int)\
    {annotationGroups(where: {modelRunId: {id: $modelRunId}}, after: $from, first: $first)\
    {nodes{dataSplit dataRow{id}},pageInfo{endCursor}}}";

/// Rows asked for at once (captured from labelbox 7.17.0).
const PAGE: u32 = 100;

/// Some rows of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitPage {
    /// Id and split of each.
    pub rows: Vec<(String, Split)>,
    /// Where the next page begins; none if there is none.
    pub next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Groups {
    nodes: Vec<Node>,
    page_info: PageInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    #[serde(default = "unassigned", deserialize_with = "read_split")]
    data_split: Split,
    data_row: DataRow,
}

#[derive(Deserialize)]
struct DataRow {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    end_cursor: Option<String>,
}

const fn unassigned() -> Split {
    Split::Unassigned
}

/// The word is not kept: there may be a million of them.
fn read_split<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Split, D::Error> {
    #[derive(Deserialize)]
    struct Word<'a>(#[serde(borrow)] Cow<'a, str>);
    let word = Option::<Word<'de>>::deserialize(deserializer)?;
    Ok(word.map_or(Split::Unassigned, |Word(word)| Split::from_word(&word)))
}

impl Labelbox {
    /// A page of the run's rows, from the beginning or from where another page ended.
    ///
    /// # Errors
    /// When Labelbox does not answer as it should.
    pub async fn data_splits(
        &self,
        run: &ModelRunId,
        from: Option<&str>,
    ) -> Result<SplitPage, LabelboxError> {
        let call = Call {
            api: Api::Graphql,
            query: GET_DATA_ROWS,
            variables: json!({ "modelRunId": run, "from": from, "first": PAGE }),
            field: "annotationGroups",
        };
        let Groups { nodes, page_info } = self.call_for(&call).await?;
        let nodes = nodes.into_iter();
        let rows: Vec<_> = nodes
            .map(|node| (node.data_row.id, node.data_split))
            .collect();
        // As the SDK ends: at a page without rows, or without a cursor.
        let next = page_info.end_cursor.filter(|_| !rows.is_empty());
        Ok(SplitPage { rows, next })
    }
}
