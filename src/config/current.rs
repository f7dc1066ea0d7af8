//! A setting that a reload may replace while everybody uses it.

use std::sync::{Arc, PoisonError, RwLock};

/// A value that is the same for all clones, until one of them replaces it for all.
///
/// ```
/// # use trainhook::config::Current;
/// let title = Current::new("first");
/// let reader = title.clone();
/// title.replace("second");
/// assert_eq!(*reader.get(), "second");
/// ```
#[derive(Debug)]
pub struct Current<T> {
    value: Arc<RwLock<Arc<T>>>,
}

impl<T> Current<T> {
    /// Begins with `value`.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self {
            value: Arc::new(RwLock::new(Arc::new(value))),
        }
    }

    /// The value as it is now; whoever holds it does not see a later one.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        let value = self.value.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&value)
    }

    /// Replaces the value for all clones.
    pub fn replace(&self, value: T) {
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

impl<T> Clone for Current<T> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
        }
    }
}
