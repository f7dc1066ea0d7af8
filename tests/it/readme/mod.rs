//! The README, as a newcomer follows it: what it shows is pasted and run, or held against the program.

mod by_hand;
mod own_model;
mod settings;
mod shapes;

use std::{fs, path::Path};

const README: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));

/// A block of code.
#[derive(Debug, Clone, Copy)]
struct Block {
    /// What stands behind the fence; nothing for shells.
    language: &'static str,
    text: &'static str,
}

/// What stands below a heading, up to the next one of any level.
fn section(heading: &str) -> &'static str {
    let begin = format!("\n{heading}\n");
    let (_, below) = README.split_once(&begin).expect(heading);
    below.split("\n#").next().expect("a text")
}

/// The blocks of code below a heading.
fn blocks(heading: &str) -> Vec<Block> {
    // Every other piece stands between two fences.
    let pieces = section(heading).split("```").skip(1).step_by(2);
    let block = |piece: &'static str| {
        let (language, text) = piece.split_once('\n').expect("a line behind the fence");
        Block { language, text }
    };
    pieces.map(block).collect()
}

/// Its blocks of one language.
fn blocks_of(heading: &str, language: &str) -> Vec<&'static str> {
    let all = blocks(heading).into_iter();
    let wanted = all.filter(|block| block.language == language);
    wanted.map(|block| block.text).collect()
}

/// The two files of the model that the README shows.
fn write_own_model(folder: &Path) {
    for (language, name) in [("toml", "models.toml"), ("python", "train.py")] {
        let text = blocks_of("### Your own model in two files", language)[0];
        fs::write(folder.join(name), text).expect("the folder is writable");
    }
}
