//! Many rows need no more memory than few.

use std::{fs, fs::File, io::Write as _, path::Path, process::Command};

use serde_json::json;
use trainhook::{config::Format, dataset::Split};

use super::{Exported, boxed, grey_png, image_row, images_of, objects, tool};

/// Tells the process that it is the measured one, and with how many rows.
const ROWS: &str = "TRAINHOOK_TEST_FORMATS_ROWS";

/// Set where nothing is written that makes files of each row, which takes long with many.
const COCO_ALONE: &str = "TRAINHOOK_TEST_FORMATS_COCO_ALONE";

/// What many rows may need beyond few, in KiB: a small part of what their lines alone have.
const MARGIN: u64 = 1_024;

/// The system counts what it has mapped of the program's own file as well, now more and now less: the rows are to blame
/// only for what is there each time.
const TIMES: usize = 5;

#[test]
fn many_rows_need_no_more_memory_than_few() {
    for (alone, few, many) in [("1", 1_000, 30_000), ("", 300, 4_000)] {
        let mut seen = Vec::new();
        let fits = (0..TIMES).any(|_| {
            let (least, most) = (measured(alone, few), measured(alone, many));
            seen.push((least, most));
            most < least + MARGIN
        });
        assert!(
            fits,
            "KiB for {few} rows and for {many}, each time: {seen:?}"
        );
    }
}

/// The most memory that a process of its own has held, in KiB.
fn measured(alone: &str, rows: u64) -> u64 {
    let output = Command::new(std::env::current_exe().expect("a path"))
        .args([
            "--exact",
            "formats::bounded::the_measured_process",
            "--ignored",
            "--nocapture",
        ])
        .env(ROWS, rows.to_string())
        .env(COCO_ALONE, alone)
        .output()
        .expect("it starts");
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = output.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let told = told.and_then(|line| line.split_whitespace().next()?.parse().ok());
    told.expect(&output)
}

#[test]
#[ignore = "many_rows_need_no_more_memory_than_few runs it in a process of its own"]
fn the_measured_process() {
    let rows = std::env::var(ROWS).expect("a count");
    let rows: u64 = rows.parse().expect("a number");
    let alone = std::env::var(COCO_ALONE).is_ok_and(|alone| !alone.is_empty());
    let exported = many_images(rows);
    let written = exported.write(if alone { &[Format::Coco] } else { &Format::ALL });
    assert_eq!(written.rows, rows);
    leave_coco_results(&exported.path("out"), rows);
    if !alone {
        leave_yolo_labels(&exported.path("out"), rows);
    }
    let summary = exported.read_back().expect("read");
    assert_eq!(summary.predictions, if alone { rows } else { 2 * rows });
    let status = fs::read_to_string("/proc/self/status").expect("a status");
    let most = status.lines().find(|line| line.starts_with("VmHWM:"));
    println!("\n{}", most.expect("a line"));
}

/// A thousand bytes a row.
fn many_images(rows: u64) -> Exported {
    let exported = Exported::of(images_of(&[
        tool("car", "rectangle"),
        tool("road", "polygon"),
    ]));
    let path = exported.file("image.png", &grey_png(8, 4, &[0; 32]));
    let filling = "x".repeat(500);
    let file = File::create(exported.path("data").join(Split::Training.file_name()));
    let mut lines = std::io::BufWriter::new(file.expect("a file"));
    for number in 0..rows {
        let label = objects(json!([boxed("car", [0.0, 0.0, 8.0, 4.0])]));
        let mut row = image_row(&format!("row {number}"), &path, (8, 4), label);
        row["filling"] = filling.as_str().into();
        writeln!(lines, "{row}").expect("a line");
    }
    lines.flush().expect("lines");
    exported
}

fn leave_coco_results(out: &Path, rows: u64) {
    let file = File::create(out.join("coco_results.json")).expect("a file");
    let mut results = std::io::BufWriter::new(file);
    for number in 1..=rows {
        let result =
            json!({ "image_id": number, "category_id": 1, "bbox": [1, 1, 2, 2], "score": 0.5 });
        let before = if number == 1 { "[" } else { "," };
        write!(results, "{before}{result}").expect("a result");
    }
    write!(results, "]")
        .and_then(|()| results.flush())
        .expect("an end");
}

fn leave_yolo_labels(out: &Path, rows: u64) {
    fs::create_dir_all(out.join("yolo/labels")).expect("a folder");
    for number in 1..=rows {
        let labels = out.join(format!("yolo/labels/{number:012}.txt"));
        fs::write(labels, "0 0.5 0.5 0.25 0.25 0.5\n").expect("a file");
    }
}
