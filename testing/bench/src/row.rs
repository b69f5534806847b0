//! A row of the table.

/// One row of the table: a value of the function, one of Python, and how many times better the function is.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) figures: [String; 2],
    pub(crate) ratio: f64,
}

impl Row {
    /// Compares two values of which the larger is better.
    pub(crate) fn more(name: String, figures: [f64; 2], text: fn(f64) -> String) -> Self {
        Self { name, ratio: figures[0] / figures[1], figures: figures.map(text) }
    }

    /// Compares two values of which the smaller is better.
    pub(crate) fn less(name: String, figures: [f64; 2], text: fn(f64) -> String) -> Self {
        Self { name, ratio: figures[1] / figures[0], figures: figures.map(text) }
    }
}
