//! `models.toml`: read or refused, the mistakes on lines that are there.

use proptest::prelude::{Just, Strategy, prop_oneof};

use super::{always, bytes, damaged};
use crate::check::read;

#[test]
fn no_text_breaks_the_reader() {
    let shipped = include_str!("../../../models.toml").as_bytes().to_vec();
    let files = prop_oneof![4 => damaged(Just(shipped)), 1 => bytes()];
    always(
        files.prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        |text| {
            let lines = text.lines().count().max(1);
            if let Err(mistakes) = read(&text) {
                assert!(!mistakes.is_empty());
                assert!(
                    mistakes
                        .iter()
                        .all(|mistake| (1..=lines + 1).contains(&mistake.line)),
                    "{mistakes:?}"
                );
            }
        },
    );
}
