//! Writes JSON text directly, so that a response of 10,000 events needs no tree of values.

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push_str(text);
    } else {
        for character in text.chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                control if (control as u32) < 0x20 => push_unit(out, control as u16),
                other => out.push(other),
            }
        }
    }
    out.push('"');
}

/// Spells a JSON text as PHP's `json_encode` does by default: `\/`, and `\uXXXX` outside ASCII.
///
/// Slashes and characters outside ASCII occur only in strings, so the whole text can be rewritten.
pub(crate) fn php_spelling(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for character in text.chars() {
        match character {
            '/' => out.push_str("\\/"),
            ascii if ascii.is_ascii() => out.push(ascii),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    push_unit(&mut out, *unit);
                }
            }
        }
    }
    out
}

fn push_unit(out: &mut String, unit: u16) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        out.push(char::from(HEX[usize::from(unit >> shift) & 15]));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn strings_survive_a_round_trip() {
        for text in ["", "plain", "q\"uo\\te", "line\nbreak\t\r\u{1}", "Équipe 営業 😀", "a/b"] {
            let mut out = String::new();
            push_string(&mut out, text);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
            let php = php_spelling(&out);
            assert!(php.is_ascii());
            assert_eq!(serde_json::from_str::<String>(&php).unwrap(), text);
        }
    }
}
