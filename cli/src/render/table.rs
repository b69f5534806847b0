//! Tables of text.

use comfy_table::{ContentArrangement, Table, presets};

/// Returns an empty table without a heading.
pub fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// Returns an empty table with a heading.
pub fn table<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Table {
    let mut table = plain_table();
    table.set_header(header);
    table
}

/// Returns the text of a table.
pub fn lines(mut table: Table, width: Option<u16>) -> String {
    if let Some(width) = width {
        table.set_width(width);
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
