//! Displays the progress of a backfill: as a bar on a terminal, otherwise as a line from time to time.

use std::{
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::progress::Progress;
use crate::output;

/// The interval between lines without a terminal. Chosen: a log stays readable, and shows that the backfill runs.
const LINE_INTERVAL: Duration = Duration::from_secs(30);
/// The least columns that leave room for a bar beside the text.
const MIN_COLUMNS_FOR_BAR: u16 = 90;
/// The number of steps of the bar.
const STEPS: u64 = 1_000;
const WITH_BAR: &str = "{bar:20} {percent:>3} %  {wide_msg}";
const WITHOUT_BAR: &str = "{percent:>3} %  {wide_msg}";

/// The display of one execution's progress.
pub struct Display {
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
    /// The first progress after the range was split, and its time: rate and time left are relative to it.
    first: Option<(Progress, Instant)>,
}

impl Display {
    /// Opens a display on standard error.
    pub fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let is_wide = output::width(&io::stderr()).is_none_or(|width| width >= MIN_COLUMNS_FOR_BAR);
            ProgressBar::new(STEPS).with_style(style(if is_wide { WITH_BAR } else { WITHOUT_BAR }))
        });
        Self { bar, last_line: None, first: None }
    }

    /// Shows the progress.
    pub fn show(&mut self, progress: &Progress) {
        if self.first.is_none() && progress.slices > 0 {
            self.first = Some((*progress, Instant::now()));
        }
        let text = progress.describe(self.first.map(|(first, since)| (first, since.elapsed())));
        if let Some(bar) = &self.bar {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
            bar.set_position((progress.share * STEPS as f64) as u64);
            bar.set_message(text);
        } else {
            self.print_from_time_to_time(&format!("{:>3.0} %  {text}", (progress.share * 100.0).floor()));
        }
    }

    /// Shows a message in place of the progress.
    pub fn show_message(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => self.print_from_time_to_time(text),
        }
    }

    fn print_from_time_to_time(&mut self, text: &str) {
        if self.last_line.is_none_or(|at| at.elapsed() >= LINE_INTERVAL) {
            self.last_line = Some(Instant::now());
            output::print_message(text);
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[expect(clippy::expect_used, reason = "the templates are part of the program, and a test parses them")]
fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a valid template")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for template in [WITH_BAR, WITHOUT_BAR] {
            style(template);
        }
    }
}
