//! What a model says of its data and its parameters, and what a run's own config makes of them.

use serde_json::{Map, Value, json};
use trainhook::config::{Format, ModelEntry, Parts, Predictions, Settled, Tolerance};

use super::{
    GOOD,
    mistakes::{added, broken},
    read,
};

const HEAD: &str = "[models.digits]";
const PARAMS: &str = "params = { epochs = 12 }";

/// The good file's model with another line, and with these parameters.
fn model(line: &str, params: &str) -> ModelEntry {
    let file = GOOD.replacen(HEAD, &format!("{HEAD}\n{line}"), 1);
    let params = format!("params = {{ epochs = 12, {params} }}");
    let config = read(&file.replacen(PARAMS, &params, 1)).expect("no mistakes");
    config.models[0].clone()
}

fn settle(params: &str, config: Value) -> Result<Settled, String> {
    let model = model("", params);
    let config: Map<String, Value> = serde_json::from_value(config).expect("an object");
    model.params.settle(&model.param_limits, &config)
}

/// What `{params.<name>}` would stand for.
fn settled(params: &str, config: Value, name: &str) -> String {
    let settled = settle(params, config).expect("settled");
    settled.params.get(name).expect("a parameter").as_text()
}

#[test]
fn an_export_brings_predictions_with_it_unless_they_are_not_wanted() {
    let export = |line: &str| model(line, "").export;
    assert!(export("").expect("on").parts == Parts::default());
    assert_eq!(export("export = false"), None);
    let wanted = export("export = { files = true, metadata = true }").expect("on");
    assert!(wanted.files && wanted.parts.metadata && !wanted.parts.embeddings);
    assert_eq!(wanted.timeout_ms, Some(6 * 3_600_000));
    let without = export("export_timeout = \"none\"").expect("on");
    assert_eq!(without.timeout_ms, None);
    let hour = |line: &str| {
        export(line)
            .expect("on")
            .max_age_ms
            .map(|age| age / 3_600_000)
    };
    assert_eq!(hour(""), Some(12));
    assert_eq!(hour("export_max_age = \"3h\""), Some(3));
    assert_eq!(hour("export_max_age = \"none\""), None);
    let predictions = |line: &str| model(line, "").predictions;
    assert_eq!(predictions(""), Predictions::Required);
    assert_eq!(predictions("export = false"), Predictions::None);
    assert_eq!(
        predictions("predictions = \"optional\""),
        Predictions::Optional
    );
    assert_eq!(predictions("predictions = \"none\""), Predictions::None);
}

#[test]
fn as_many_predictions_may_be_refused_as_the_file_says() {
    let tolerance = |line: &str| model(line, "").max_row_errors;
    assert_eq!(tolerance(""), Tolerance::Count(0));
    let ten = tolerance("max_row_errors = 10");
    assert!(ten.allows(10, 10) && !ten.allows(11, 1_000_000));
    let percent = tolerance("max_row_errors = \"0.5%\"");
    assert!(percent.allows(5, 1000) && !percent.allows(6, 1000) && percent.allows(0, 0));
    for wrong in ["-1", "1.5", "\"1\"", "\"101%\"", "\"NaN%\"", "true"] {
        let text = "a whole number from 0, or a share such as \"1%\"";
        let line = format!("max_row_errors = {wrong}");
        added(HEAD, &line, 15, "models.digits.max_row_errors", text);
    }
    added(
        HEAD,
        "export = false\nmax_row_errors = 1",
        16,
        "models.digits.max_row_errors",
        "nothing to count",
    );
}

#[test]
fn mistakes_about_data_are_located() {
    added(
        HEAD,
        "export = { file = true }",
        15,
        "models.digits.export.file",
        "unknown key; did you mean `files`?",
    );
    added(
        HEAD,
        "preflight = { training = \"many\" }",
        15,
        "models.digits.preflight.training",
        "a whole number",
    );
    added(
        HEAD,
        "predictions = \"yes\"",
        15,
        "models.digits.predictions",
        "\"required\", \"optional\" or \"none\"",
    );
    added(
        HEAD,
        "export = false\npreflight = { test = 1 }",
        16,
        "models.digits.preflight",
        "without an export",
    );
    added(
        HEAD,
        "export = false\npredictions = \"required\"",
        16,
        "models.digits.predictions",
        "cannot be checked",
    );
}

#[test]
fn formats_are_written_of_what_is_exported() {
    let formats = |line: &str| model(line, "").formats;
    assert_eq!(formats(""), []);
    assert_eq!(formats("formats = [\"hf\"]"), [Format::Hf]);
    assert_eq!(
        formats("formats = [\"yolo\", \"coco\"]\nexport = { files = true }"),
        [Format::Coco, Format::Yolo]
    );
    let wrong = |line: &str, text: &str| added(HEAD, line, 15, "models.digits.formats", text);
    wrong("formats = [\"voc\"]", "\"coco\", \"yolo\" and \"hf\" only");
    wrong("formats = \"coco\"", "a list of texts");
    wrong("formats = [\"hf\", \"hf\"]", "twice");
    wrong(
        "formats = [\"hf\"]\nexport = false",
        "take export = false away",
    );
    wrong(
        "formats = [\"hf\", \"coco\"]",
        "\"coco\" is of images, which are fetched only if you write export = { files = true }",
    );
}

#[test]
fn mistakes_about_limits_are_located() {
    let wrong = |params: &str, key: &str, text: &str| {
        let line = format!("params = {{ epochs = 12, {params} }}");
        broken(
            PARAMS,
            &line,
            17,
            &format!("models.digits.params.{key}"),
            text,
        );
    };
    wrong("rate = { min = 0.1 }", "rate.default", "is missing");
    wrong(
        "rate = { default = 0.5, max = 0.1 }",
        "rate.default",
        "not within its own limits",
    );
    wrong(
        "rate = { default = \"x\", max = 1 }",
        "rate.max",
        "must be a number",
    );
    wrong(
        "rate = { default = 1, choices = [1, \"2\"] }",
        "rate.choices",
        "the default's type",
    );
    wrong(
        "rate = { default = 1, most = 2 }",
        "rate.most",
        "unknown key",
    );
}

#[test]
fn a_runs_config_overrides_what_it_names_in_any_spelling() {
    let config = json!({ "batchSize": 64, "comment": "by Ann" });
    assert_eq!(
        settled("batch_size = 32", config.clone(), "batch_size"),
        "64"
    );
    let others = settle("batch_size = 32", config).expect("settled").others;
    assert_eq!(Value::Object(others), json!({ "comment": "by Ann" }));
    // The exact name counts, wherever it stands.
    let both = json!({ "batch_size": 8, "batchSize": 64 });
    assert_eq!(settled("batch_size = 32", both, "batch_size"), "8");
    assert_eq!(settled("batch_size = 32", json!({}), "batch_size"), "32");
}

#[test]
fn a_value_keeps_the_type_of_its_default() {
    assert_eq!(settled("rate = 0.1", json!({ "rate": 1 }), "rate"), "1");
    assert_eq!(settled("", json!({ "epochs": 20.0 }), "epochs"), "20");
    for (params, config, wanted) in [
        ("", json!({ "epochs": "20" }), "a whole number"),
        ("", json!({ "epochs": 20.5 }), "a whole number"),
        ("", json!({ "epochs": null }), "a whole number"),
        ("rate = 0.1", json!({ "rate": "fast" }), "a number"),
        ("on = true", json!({ "on": 1 }), "true or false"),
        ("kind = \"a\"", json!({ "kind": ["a"] }), "a text"),
    ] {
        let refused = settle(params, config).expect_err("refused");
        assert!(refused.ends_with(wanted), "{refused}");
    }
}

#[test]
fn a_value_outside_its_limits_is_refused_in_words() {
    let rate = "rate = { default = 0.1, min = 0, max = 1 }";
    assert_eq!(settled(rate, json!({ "rate": 1.0 }), "rate"), "1");
    let refused = settle(rate, json!({ "rate": 1.5 })).expect_err("refused");
    assert_eq!(
        refused,
        "the model run's config sets rate to 1.5, but it must be a number from 0 to 1"
    );
    let kind = "kind = { default = \"adam\", choices = [\"adam\", \"sgd\"] }";
    assert_eq!(settled(kind, json!({ "kind": "sgd" }), "kind"), "sgd");
    let refused = settle(kind, json!({ "kind": "lion" })).expect_err("refused");
    assert!(
        refused.ends_with("but it must be one of adam, sgd"),
        "{refused}"
    );
}

#[test]
fn how_far_ahead_and_how_often_labelbox_is_asked_has_defaults_and_bounds() {
    let config = read(GOOD).expect("no mistakes");
    assert_eq!(config.executors[0].export_ahead, 2);
    assert_eq!(config.workspaces[0].requests_per_minute, 1200);
    let other = GOOD
        .replacen(
            "[executors.local]",
            "[executors.local]\nexport_ahead = 0",
            1,
        )
        .replacen(
            "[workspaces.main]",
            "[workspaces.main]\nrequests_per_minute = 5000",
            1,
        );
    let config = read(&other).expect("no mistakes");
    assert_eq!(config.executors[0].export_ahead, 0);
    assert_eq!(config.workspaces[0].requests_per_minute, 5000);
    let too_few = GOOD.replacen(
        "[workspaces.main]",
        "[workspaces.main]\nrequests_per_minute = 10",
        1,
    );
    let mistakes = read(&too_few).expect_err("a mistake");
    assert!(
        format!("{mistakes:?}").contains("requests_per_minute"),
        "{mistakes:?}"
    );
}

#[test]
fn files_are_bounded_in_size_and_in_how_many_may_be_missing() {
    let export = |line: &str| model(line, "").export.expect("on");
    let default = export("export = { files = true }");
    assert_eq!(default.max_file_size, 2_000_000_000);
    assert_eq!(default.max_missing_files, Tolerance::Count(0));
    let set = |value: &str| {
        export(&format!(
            "export = {{ files = true, max_missing_files = {value} }}"
        ))
    };
    for (value, all, most) in [
        ("7", 1000, 7),
        ("\"1%\"", 1000, 10),
        ("\"0.5%\"", 1000, 5),
        ("\"0.05 %\"", 1999, 0),
        ("\"100%\"", u64::MAX, u64::MAX),
    ] {
        assert_eq!(set(value).max_missing_files.most(all), most, "{value}");
    }
    let wrong = |line: &str, key: &str, text: &str| {
        let key = format!("models.digits.export.{key}");
        added(HEAD, &format!("export = {{ {line} }}"), 15, &key, text);
    };
    for value in [
        "-1",
        "\"1\"",
        "\"101%\"",
        "\"-1%\"",
        "\"0.001%\"",
        "\"%\"",
        "\".5%\"",
        "1.5",
    ] {
        let line = format!("files = true, max_missing_files = {value}");
        wrong(&line, "max_missing_files", "a share such as \"1%\"");
    }
    wrong(
        "files = true, max_file_size = 5",
        "max_file_size",
        "a size such as",
    );
    wrong(
        "max_missing_files = 1",
        "max_missing_files",
        "without files = true",
    );
}
