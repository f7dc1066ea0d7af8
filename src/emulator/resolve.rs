//! How each root field is answered. Shapes of questions and answers: captured from labelbox 7.17.0.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    document::Asked,
    graphql::Refusal,
    run::{ModelRun, TimelineEntry},
    schema,
    world::{USER_ID, World},
};

pub(super) fn user(world: &mut World, asked: &Asked, now: Timestamp) -> Result<Value, Refusal> {
    let mut user = schema::the_user();
    if let Some(arguments) = asked.below("createdTasks") {
        user["createdTasks"] = world.exports.list(arguments.get("where"), now);
    }
    Ok(user)
}

pub(super) fn model_run(world: &mut World, asked: &Asked, _: Timestamp) -> Result<Value, Refusal> {
    let run = world.run(id_in(asked, "where")?);
    run.map(show).ok_or_else(Refusal::not_found)
}

pub(super) fn training_pipeline(
    world: &mut World,
    asked: &Asked,
    _: Timestamp,
) -> Result<Value, Refusal> {
    let run = world.run(id_in(asked, "where")?);
    let run = run.ok_or_else(Refusal::not_found)?;
    Ok(json!(run.pipeline))
}

pub(super) fn update_training_pipeline(
    world: &mut World,
    asked: &Asked,
    now: Timestamp,
) -> Result<Value, Refusal> {
    let id = id_in(asked, "modelRun")?;
    let entry = TimelineEntry::read(asked.arguments.get("data").unwrap_or(&Value::Null), now)?;
    let run = world.update(id, entry).ok_or_else(Refusal::not_found)?;
    Ok(json!(run.pipeline))
}

pub(super) fn create_model_run(
    world: &mut World,
    asked: &Asked,
    now: Timestamp,
) -> Result<Value, Refusal> {
    let data = asked.arguments.get("data").unwrap_or(&Value::Null);
    let name = data.get("name").and_then(Value::as_str);
    let name = name.ok_or_else(|| Refusal::invalid("data.name must be text"))?;
    let model_id = data.get("modelId").and_then(Value::as_str);
    let model_id = model_id.ok_or_else(|| Refusal::invalid("data.modelId must be an ID"))?;
    let config = match data.get("trainingMetadata") {
        None | Some(Value::Null) => None,
        Some(Value::Object(config)) => Some(camel_cased(config)),
        Some(_) => {
            return Err(Refusal::invalid(
                "data.trainingMetadata must be a JSON object",
            ));
        }
    };
    let run = world.create_run(Some(model_id), name, now);
    run.config = config;
    Ok(show(run))
}

pub(super) fn update_model_run_config(
    world: &mut World,
    asked: &Asked,
    now: Timestamp,
) -> Result<Value, Refusal> {
    let id = id_in(asked, "modelRun")?;
    let config = asked
        .arguments
        .get("data")
        .and_then(|data| data.get("config"))
        .and_then(Value::as_object)
        .ok_or_else(|| Refusal::invalid("data.config must be a JSON object"))?;
    let run = world.set_config(id, Some(config.clone()), now);
    run.map(show).ok_or_else(Refusal::not_found)
}

pub(super) fn reset_model_run_config(
    world: &mut World,
    asked: &Asked,
    now: Timestamp,
) -> Result<Value, Refusal> {
    let run = world.set_config(id_in(asked, "modelRun")?, None, now);
    run.map(show).ok_or_else(Refusal::not_found)
}

pub(super) fn id_in<'a>(asked: &'a Asked, name: &str) -> Result<&'a str, Refusal> {
    let id = asked
        .arguments
        .get(name)
        .and_then(|value| value.get("id"))
        .and_then(Value::as_str);
    id.ok_or_else(|| Refusal::invalid(format!("Argument \"{name}\" must hold an \"id\".")))
}

fn show(run: &ModelRun) -> Value {
    json!({
        "createdAt": labelbox_time(run.created_at),
        "createdBy": USER_ID,
        "modelAppId": null,
        "modelId": run.model_id,
        "name": run.name,
        "trainingMetadata": run.config,
        "id": run.id,
        "updatedAt": labelbox_time(run.updated_at),
    })
}

/// `2024-01-01T00:00:00.000Z`
pub(super) fn labelbox_time(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// Keys of a config given at the creation of a run come back in camel case; those of `updateModelRunConfig`
/// come back as they were. Source: Labelbox/labelbox-python, `test_model_run.py`.
fn camel_cased(config: &Map<String, Value>) -> Map<String, Value> {
    let camel_case = |key: &String| {
        let mut words = key.split('_').filter(|word| !word.is_empty());
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |name, word| {
            let (initial, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
            name + &initial.to_uppercase() + rest
        })
    };
    let entry = |(key, value): (&String, &Value)| (camel_case(key), value.clone());
    config.iter().map(entry).collect()
}
