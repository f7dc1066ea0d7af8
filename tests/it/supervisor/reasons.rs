//! The reason of a failure: from the most deliberate source to the least, in one plain line.

use crate::support::attempts::Attempt;

fn reason(script: &str) -> String {
    Attempt::of_script(script).reason().expect("a reason")
}

#[test]
fn the_failure_file_comes_first() {
    let script = r#"echo 'ValueError: not this'; printf '\n\033[31mno images of class 3\033[0m\nmore\n' > $TRAINHOOK_OUT_DIR/failure; exit 1"#;
    assert_eq!(reason(script), "no images of class 3");
}

#[test]
fn torchs_error_file_comes_before_the_log() {
    let script = r#"printf '%s' '{"message": {"message": "RuntimeError: NCCL error\nsecond line", "extraInfo": {}}}' > $TORCHELASTIC_ERROR_FILE; echo bye; exit 1"#;
    assert_eq!(reason(script), "RuntimeError: NCCL error");
}

#[test]
fn the_last_python_exception_is_found() {
    let script = r#"cat > $W/t.py <<'PY'
try:
    {}["a"]
except KeyError:
    raise ValueError("learning rate must be positive")
PY
python3 $W/t.py; echo cleaning up; exit 1"#;
    assert_eq!(reason(script), "ValueError: learning rate must be positive");
}

#[test]
fn an_exception_is_found_behind_the_rank_that_a_launcher_writes() {
    let script = r#"printf '[rank0]: Traceback (most recent call last):\n[rank0]:   File "t.py", line 1\n[rank0]: torch.OutOfMemoryError: CUDA out of memory\n[rank1]: bye\n'; exit 1"#;
    assert_eq!(reason(script), "torch.OutOfMemoryError: CUDA out of memory");
}

#[test]
fn else_the_last_line_without_colours_and_bars() {
    let script = r#"printf 'epoch 1\r\033[1;31mdisk quota exceeded\033[0m\n 45%%|####      | 45/100 [00:01<00:01, 40.0it/s]\r 46%%|####      | 46/100 [00:01<00:01, 40.0it/s]\n=======\n\n'; exit 1"#;
    assert_eq!(reason(script), "disk quota exceeded");
}

#[test]
fn a_reason_is_bounded() {
    let reason = reason("head -c 100000 /dev/zero | tr '\\0' x; exit 1");
    assert_eq!(reason, "x".repeat(1000));
}

#[test]
fn a_link_planted_as_failure_file_is_not_followed() {
    let script =
        "echo secret > $W/secret; ln -s $W/secret $TRAINHOOK_OUT_DIR/failure; echo honest; exit 1";
    assert_eq!(reason(script), "honest");
}

#[test]
fn success_has_no_reason() {
    assert_eq!(Attempt::of(&["echo", "hello"]).reason(), None);
}
