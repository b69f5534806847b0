//! Writes the table and the plot.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Error, contestant::Run, plot, row::Row, stage::file_bytes};

/// A part of `docs/performance.md` that is written by a command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Block {
    Bench,
    BenchRun,
}

impl Block {
    /// Returns the lines around the part.
    fn markers(self) -> [String; 2] {
        let command = match self {
            Self::Bench => "make bench",
            Self::BenchRun => "make bench-run",
        };
        [
            format!("<!-- what follows is written by `{command}` -->"),
            format!("<!-- what `{command}` writes ends here -->"),
        ]
    }
}

/// Prints a text, and writes it into its part of `docs/performance.md`.
pub(crate) fn write_block(docs: &Path, block: Block, text: &str) -> Result<(), Error> {
    println!("{text}");
    let path = docs.join("performance.md");
    let file = |source| Error::File { path: path.display().to_string(), source };
    let page = std::fs::read_to_string(&path).map_err(file)?;
    let [begin, end] = block.markers();
    let parts = page.split_once(&begin).zip(page.split_once(&end));
    let ((before, _), (_, after)) = parts.ok_or_else(|| Error::Page(begin.clone()))?;
    std::fs::write(&path, format!("{before}{begin}\n\n{text}\n{end}{after}")).map_err(file)
}

/// The medians of one contestant's cold starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cold {
    pub(crate) start: Duration,
    pub(crate) start_cpu: Duration,
    pub(crate) first_answer: Duration,
    /// CPU time up to the first response.
    pub(crate) cpu: Duration,
    pub(crate) peak_bytes: u64,
}

/// The runs with one number of events: the function, Python and the floor.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) events: usize,
    pub(crate) runs: [Vec<Run>; 2],
    pub(crate) floor: Duration,
    /// The number of documents that were compared and found equal.
    pub(crate) compared: Option<usize>,
    /// Bytes of the function's bulk bodies before compression.
    pub(crate) bulk_bytes: u64,
}

/// All measurements.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) cold: [Cold; 2],
    pub(crate) series: Vec<Series>,
    pub(crate) zips: [Option<PathBuf>; 2],
    pub(crate) is_compressed: bool,
}

/// Returns the median; zero if there are none.
pub(crate) fn median(durations: impl Iterator<Item = Duration>) -> Duration {
    let mut durations: Vec<Duration> = durations.collect();
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}

impl Series {
    pub(crate) fn cpu(&self, contestant: usize) -> Duration {
        median(self.runs[contestant].iter().map(|run| run.cpu))
    }

    fn rows(&self) -> Vec<Row> {
        let events = self.events as f64;
        let rate = |duration: Duration| events / duration.as_secs_f64();
        let of = |figure: &dyn Fn(&[Run]) -> f64| [figure(&self.runs[0]), figure(&self.runs[1])];
        let name = |text: &str| format!("{text}, {} events", thousands(events));
        let last = |number: &dyn Fn(&Run) -> u64, runs: &[Run]| runs.last().map(number).unwrap_or_default() as f64;
        let cpu = of(&|runs| rate(median(runs.iter().map(|run| run.cpu))));
        let wall = of(&|runs| rate(median(runs.iter().map(|run| run.wall))));
        let memory = of(&|runs| runs.iter().map(|run| run.peak_bytes).max().unwrap_or_default() as f64);
        let requests = of(&|runs| last(&|run| run.traffic.requests(), runs));
        let bytes = of(&|runs| last(&|run| run.traffic.elasticsearch.bytes, runs));
        vec![
            Row::more(name("documents per CPU second"), cpu, thousands),
            Row::more(name("documents per second"), wall, thousands),
            Row::less(name("peak memory"), memory, megabytes),
            Row::less(name("requests"), requests, thousands),
            Row::less(name("bytes sent to Elasticsearch"), bytes, megabytes),
        ]
    }
}

impl Report {
    fn rows(&self) -> Result<Vec<Row>, Error> {
        let mut rows: Vec<Row> = self.series.iter().flat_map(Series::rows).collect();
        let cold = |figure: fn(&Cold) -> Duration| [0, 1].map(|index| figure(&self.cold[index]).as_secs_f64());
        rows.push(Row::less("start to first poll".to_owned(), cold(|cold| cold.start), milliseconds));
        rows.push(Row::less("start to first answer".to_owned(), cold(|cold| cold.first_answer), milliseconds));
        rows.push(Row::less("CPU time to first poll".to_owned(), cold(|cold| cold.start_cpu), milliseconds));
        rows.push(Row::less("CPU time to first answer".to_owned(), cold(|cold| cold.cpu), milliseconds));
        let peaks = [0, 1].map(|index| self.cold[index].peak_bytes as f64);
        rows.push(Row::less("peak memory of a first answer".to_owned(), peaks, megabytes));
        if let [Some(function), Some(python)] = &self.zips {
            let zips = [file_bytes(function)? as f64, file_bytes(python)? as f64];
            rows.push(Row::less("zip".to_owned(), zips, megabytes));
        }
        Ok(rows)
    }

    fn markdown(&self, rows: &[Row]) -> String {
        let mut text = String::from("| | function | Python | ratio |\n| --- | ---: | ---: | ---: |\n");
        for Row { name, figures: [function, python], ratio } in rows {
            // Writing to a string does not fail.
            let _ = writeln!(text, "| {name} | {function} | {python} | {ratio:.1} × |");
        }
        text.push_str("\n| | function's CPU time | floor's | ratio |\n| --- | ---: | ---: | ---: |\n");
        for series in &self.series {
            let (function, floor) = (series.cpu(0).as_secs_f64(), series.floor.as_secs_f64());
            let _ = writeln!(
                text,
                "| {} events, {} of bulk bodies | {} | {} | {:.2} × |",
                thousands(series.events as f64),
                megabytes(series.bulk_bytes as f64),
                milliseconds(function),
                milliseconds(floor),
                function / floor
            );
        }
        let compared: usize = self.series.iter().filter_map(|series| series.compared).sum();
        let compression = if self.is_compressed { "with" } else { "without" };
        let _ = writeln!(
            text,
            "\nPython's {} documents were compared with the function's and are the same. The Python function ran {compression} \
             `http_compress`, which needs less CPU time.",
            thousands(compared as f64)
        );
        text
    }

    /// Prints the table, and writes it and the plot into the documentation folder.
    pub(crate) fn write(&self, docs: &Path) -> Result<(), Error> {
        let rows = self.rows()?;
        write_block(docs, Block::Bench, &self.markdown(&rows))?;
        let path = docs.join("performance.svg");
        std::fs::write(&path, plot::plot(&rows))
            .map_err(|source| Error::File { path: path.display().to_string(), source })
    }
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

fn milliseconds(seconds: f64) -> String {
    if seconds < 0.1 { format!("{:.1} ms", seconds * 1e3) } else { format!("{:.0} ms", seconds * 1e3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([7.0, 1_234.4, 1e6].map(thousands), ["7", "1,234", "1,000,000"]);
        assert_eq!(milliseconds(0.0123), "12.3 ms");
    }
}
