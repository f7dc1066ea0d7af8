//! Containers on a real Docker Engine.

mod conformance;
mod crashes;
mod ends;
mod gate;
mod images;
mod launches;
mod removals;
mod secured;
mod settings;
mod sight;

/// Runs until there is a file `go` in its outputs.
const UNTIL_GO: &str = "echo $TRAINHOOK_ATTEMPT >> $TRAINHOOK_OUT_DIR/runs; while [ ! -e $TRAINHOOK_OUT_DIR/go ]; do sleep 0.05; done";
