//! Colours, only on a terminal that shows them. `NO_COLOR` and `CLICOLOR=0` switch them off.

use console::style;

/// Colours a text that reports a fault.
pub fn bad(text: &str) -> String {
    style(text).red().bold().to_string()
}

/// Colours the words of the column `heading` of each table in `text`, and the next steps.
pub fn table(text: &str, heading: &str) -> String {
    let (mut column, mut is_first) = (None, true);
    let lines = text.lines().map(|line| {
        // A table begins the text, or follows an empty line or the name of its account.
        let can_be_heading = is_first;
        is_first = line.is_empty() || line.starts_with("account ");
        if can_be_heading {
            // Columns are aligned by characters; the tables have no wide characters before the painted column.
            column = line.find(heading);
            if column.is_some() {
                return style(line).bold().to_string();
            }
        }
        if let Some((indent, step)) = line.split_once("next: ").filter(|(indent, _)| indent.trim().is_empty()) {
            return format!("{indent}{}", style(format!("next: {step}")).cyan());
        }
        match column.and_then(|column| line.split_at_checked(column)) {
            Some((before, rest)) => {
                let word = rest.split_whitespace().next().unwrap_or_default();
                let is_cell = rest.starts_with(word) && before.ends_with(' ');
                let painted = match word {
                    "ok" | "complete" => style(word).green().to_string(),
                    "failed" => bad(word),
                    "skipped" | "partial" => style(word).yellow().to_string(),
                    _ => return line.to_owned(),
                };
                if is_cell { format!("{before}{painted}{}", &rest[word.len()..]) } else { line.to_owned() }
            }
            None => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_a_terminal_is_unchanged() {
        let text = " check   status  message\n secret  ok      failed once\n         next: do it\nother";
        assert_eq!(table(text, "status"), text);
    }

    #[test]
    fn statuses_and_next_steps_are_coloured() {
        console::set_colors_enabled(true);
        let text = "account acme\n check   status  message\n secret  failed  the status is unknown\n clock   ok      failed ok\n                 \
                    next: do it\n\n backfill  error\n ok        failed";
        let painted = table(text, "status");
        console::set_colors_enabled(false);
        assert_eq!(console::strip_ansi_codes(&painted), text);
        for part in [
            "\u{1b}[1m check   status  message",
            "\u{1b}[31m\u{1b}[1mfailed\u{1b}[0m  the status is unknown",
            "\u{1b}[32mok\u{1b}[0m      failed ok",
            "\u{1b}[36mnext: do it",
            "\n backfill  error\n ok        failed",
        ] {
            assert!(painted.contains(part), "{part:?} in {painted:?}");
        }
    }
}
