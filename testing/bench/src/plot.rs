//! Draws a bar for each ratio on a logarithmic scale.

use std::fmt::Write as _;

use crate::row::Row;

const WIDTH: f64 = 860.0;
const LABELS: f64 = 330.0;
const LINE: f64 = 26.0;
const TOP: f64 = 46.0;

/// Returns an SVG that shows how many times better the function is, row by row.
pub(crate) fn plot(rows: &[Row]) -> String {
    let most = rows.iter().map(|row| row.ratio).fold(10.0, f64::max).log10().ceil();
    let x = |ratio: f64| LABELS + ratio.max(1.0).log10() / most * (WIDTH - LABELS - 70.0);
    let height = TOP + LINE * rows.len() as f64 + 12.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n<text x=\"10\" y=\"18\" \
         font-weight=\"bold\">How many times better than the same job in Python (logarithmic)</text>\n"
    );
    // Writing to a string does not fail.
    for power in 0..=most as i32 {
        let (at, ratio) = (x(10_f64.powi(power)), 10_i64.pow(power.unsigned_abs()));
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{}\" y2=\"{height}\" stroke=\"#ccc\"/><text x=\"{at:.1}\" y=\"38\" \
             text-anchor=\"middle\" fill=\"#666\">{ratio} ×</text>",
            TOP - 4.0
        );
    }
    for (index, Row { name, ratio, .. }) in rows.iter().enumerate() {
        let y = TOP + LINE * index as f64;
        let width = (x(*ratio) - LABELS).max(1.0);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text><rect x=\"{LABELS}\" y=\"{}\" width=\"{width:.1}\" \
             height=\"16\" fill=\"#b7410e\"/><text x=\"{:.1}\" y=\"{}\">{ratio:.1} ×</text>",
            LABELS - 8.0,
            y + 17.0,
            y + 4.0,
            LABELS + width + 6.0,
            y + 17.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}
