//! A program that was built without Kubernetes.

#![cfg(not(feature = "kubernetes"))]

use std::path::Path;

use trainhook::{
    config::Table,
    executor::{BuildContext, Registry},
};

#[test]
fn a_table_for_kubernetes_is_told_what_is_missing_and_nothing_else() {
    let text = "kind = \"kubernetes\"\nimage = \"a\"\npod = { hostIPC = true }";
    let mut table = Table::parse(text).expect("a table");
    let context = BuildContext {
        name: "mine",
        folder: Path::new("/"),
        state_dir: Path::new("/"),
        wake: Default::default(),
    };
    let built = Registry::default().build_kind("kubernetes", &mut table, &context);
    let mistakes = built.expect_err("a mistake");
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(
        mistakes[0].to_string().contains("built without Kubernetes"),
        "{mistakes:?}"
    );
}
