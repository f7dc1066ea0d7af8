//! Why lines were not taken, in so few words that a person reads them.

use std::cmp::Reverse;

use super::Problem;

/// So many reasons are kept, each of another wording.
const MOST: usize = 5;

/// The first few reasons why lines were not taken: for each the first such line, and how many came after it.
#[derive(Debug, Default)]
pub struct Reasons(Vec<Problem>);

impl Reasons {
    /// Counts one more line.
    pub fn add(&mut self, problem: &Problem) {
        let mut known = self.0.iter_mut();
        if let Some(first) = known.find(|first| first.reason == problem.reason) {
            first.alike += 1;
        } else if self.0.len() < MOST {
            self.0.push(Problem {
                text: String::new(),
                ..problem.clone()
            });
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The commonest before the others.
    #[must_use]
    pub fn sorted(mut self) -> Vec<Problem> {
        self.0
            .sort_by_key(|first| (Reverse(first.alike), first.read_back, first.line));
        self.0
    }
}
