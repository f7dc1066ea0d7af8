//! Each rule of a model, broken once.

use super::mistakes::{added, broken};

#[test]
fn mistakes_of_models() {
    let head = "[models.digits]";
    broken(
        "executor = \"local\"\n",
        "",
        14,
        "models.digits.executor",
        "is missing",
    );
    broken(
        "executor = \"local\"",
        "executor = \"gpu\"",
        15,
        "models.digits.executor",
        "those that exist: local",
    );
    broken(
        "[\"python3\", \"train.py\", \"{params.epochs}\"]",
        "\"python3 train.py\"",
        16,
        "models.digits.command",
        "a list of texts",
    );
    broken(
        "[\"python3\", \"train.py\", \"{params.epochs}\"]",
        "[]",
        16,
        "models.digits.command",
        "name a program",
    );
    broken(
        "{params.epochs}",
        "{params.epoch}",
        16,
        "models.digits.command",
        "stands for nothing",
    );
    broken(
        "{params.epochs}",
        "{epochs",
        16,
        "models.digits.command",
        "stands for nothing",
    );
    broken(
        "epochs = 12 }",
        "epochs = 12, date = 2026-01-01 }",
        17,
        "models.digits.params.date",
        "not a date",
    );
    added(
        head,
        "title = \"\"",
        15,
        "models.digits.title",
        "printable characters",
    );
    added(
        head,
        "env = { TRAINHOOK_X = \"1\" }",
        15,
        "models.digits.env.TRAINHOOK_X",
        "are ours",
    );
    added(
        head,
        "env = { A = 1 }",
        15,
        "models.digits.env.A",
        "must be a text",
    );
    added(
        head,
        "env_pass = [\"A B\"]",
        15,
        "models.digits.env_pass",
        "environment variables",
    );
    added(
        head,
        "env_pass = [\"HOOK\"]",
        14,
        "models.digits",
        "no job may see",
    );
    added(
        head,
        "env = { K = { file = \"key\" } }",
        14,
        "models.digits",
        "no job may see",
    );
    added(
        head,
        "resources = { gpus = -1 }",
        15,
        "models.digits.resources.gpus",
        "a whole number",
    );
    added(
        head,
        "resources = { gpu = 1 }",
        15,
        "models.digits.resources.gpu",
        "did you mean `gpus`",
    );
    added(
        head,
        "run_timeout = \"never\"",
        15,
        "models.digits.run_timeout",
        "\"none\"",
    );
    added(
        head,
        "retry = { on = [\"job_error\"] }",
        15,
        "models.digits.retry.on",
        "start_failed",
    );
    added(head, "retry = 3", 15, "models.digits.retry", "a table");
    added(
        head,
        "log_limit = \"1KB\"",
        15,
        "models.digits.log_limit",
        "64KiB",
    );
    added(
        head,
        "max_running = 1.5",
        15,
        "models.digits.max_running",
        "a whole number",
    );
    added(
        head,
        "export = \"no\"",
        15,
        "models.digits.export",
        "true, false or a table",
    );
    let twin = "[models.digits2]\ntitle = \"digits\"\nexecutor = \"local\"\ncommand = [\"true\"]\n\n[models.digits]";
    broken(
        "[models.digits]",
        twin,
        19,
        "models.digits.title",
        "another model has the title",
    );
}
