//! Reads responses in markup: a web page of an intermediary, or XML of LastPass itself.
//!
//! LastPass refuses credentials with HTTP 200 and `<lastpass rc="Authorization Error"/>` (LASTPASS_API.md,
//! "Recordings and other clients"). Undocumented variations are tolerated: declarations, comments, quotes, other
//! elements and letter case.

/// The kind of a response that begins with `<`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Markup {
    /// A web page.
    Html,
    /// XML of any other kind.
    Xml {
        /// Whether it contains LastPass's own element.
        is_lastpass: bool,
        /// The values of all attributes and all texts.
        said: String,
    },
}

/// Elements with which a web page, or a fragment of one, begins.
const HTML: &[&str] = &[
    "html", "head", "body", "title", "meta", "link", "style", "script", "noscript", "base", "div", "span", "p", "a",
    "b", "br", "hr", "h1", "h2", "h3", "h4", "center", "font", "table", "form", "img", "iframe", "frameset", "pre",
    "main", "section", "header", "article", "ul", "strong", "svg",
];
/// LastPass's own element.
const LASTPASS: &str = "lastpass";
/// The prefix of attributes that carry no message.
const NAMESPACE: &str = "xmlns";

/// Classifies a response in markup.
pub(super) fn read(response: &str) -> Markup {
    let mut said = Vec::new();
    let (mut is_lastpass, mut is_first) = (false, true);
    let mut rest = response;
    while let Some((text, tag)) = rest.split_once('<') {
        said.push(text);
        if let Some(text) = tag.strip_prefix("![CDATA[") {
            let (text, after) = text.split_once("]]>").unwrap_or((text, ""));
            said.push(text);
            rest = after;
        } else if let Some(comment) = tag.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
        } else {
            let (inside, after) = split_tag(tag);
            let inside = inside.strip_suffix('/').unwrap_or(inside);
            rest = after;
            if let Some(declaration) = inside.strip_prefix('!') {
                if is_first && declaration.split_whitespace().nth(1).is_some_and(|name| is(name, "html")) {
                    return Markup::Html;
                }
                continue;
            }
            if inside.is_empty() || inside.starts_with(['?', '/']) {
                continue;
            }
            let name = inside.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
            let local = name.rsplit(':').next().unwrap_or_default();
            if is_first && HTML.iter().any(|html| is(local, html)) {
                return Markup::Html;
            }
            is_first = false;
            is_lastpass |= is(local, LASTPASS);
            said.extend(attribute_values(&inside[name.len()..]));
        }
    }
    said.push(rest);
    let said: Vec<&str> = said.into_iter().map(str::trim).filter(|text| !text.is_empty()).collect();
    Markup::Xml { is_lastpass, said: said.join("; ").replace("&#32;", " ") }
}

fn is(name: &str, other: &str) -> bool {
    name.trim_end_matches(['>', '[']).eq_ignore_ascii_case(other)
}

/// Splits a tag into its inside and the rest. A `>` in quotes does not end the tag.
fn split_tag(tag: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, c) in tag.char_indices() {
        match (quote, c) {
            (None, '>') => return (&tag[..at], &tag[at + 1..]),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    (tag, "")
}

/// Returns the values of attributes.
fn attribute_values(mut attributes: &str) -> Vec<&str> {
    let mut values = Vec::new();
    while let Some((name, value)) = attributes.split_once('=') {
        let value = value.trim_start();
        let (value, after) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let value = &value[1..];
                value.split_once(quote).unwrap_or((value, ""))
            }
            _ => value.split_once(char::is_whitespace).unwrap_or((value, "")),
        };
        if !name.trim().to_ascii_lowercase().starts_with(NAMESPACE) {
            values.push(value);
        }
        attributes = after;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xml(is_lastpass: bool, said: &str) -> Markup {
        Markup::Xml { is_lastpass, said: said.to_owned() }
    }

    #[test]
    fn the_message_of_xml_consists_of_attributes_and_texts() {
        for (response, expected) in [
            ("<lastpass rc=\"Authorization Error\"/>", xml(true, "Authorization Error")),
            ("<?xml version='1.0'?>\n<r xmlns:x='urn:x'><LastPass rc='a > b' code=7/></r>", xml(true, "a > b; 7")),
            ("<!-- <html> --><error>no <b>such</b> thing</error>", xml(false, "no; such; thing")),
            ("<!DOCTYPE lastpass><lastpass><rc><![CDATA[no <way>]]></rc></lastpass>", xml(true, "no <way>")),
            ("<lastpass rc=\"Authorization", xml(true, "Authorization")),
            ("<", xml(false, "")),
            ("<>", xml(false, "")),
            ("<é", xml(false, "")),
        ] {
            assert_eq!(read(response), expected, "{response}");
        }
    }

    #[test]
    fn a_web_page_is_recognized_by_its_doctype_or_first_element() {
        for page in [
            "<!DOCTYPE html>",
            "<!doctype HTML PUBLIC \"-//W3C//DTD\">",
            "<html>",
            "<HTML lang='en'>",
            "<?xml version=\"1.0\"?>\n<x:html>",
            "<br/>",
            "<title>x</title>",
        ] {
            assert_eq!(read(page), Markup::Html, "{page}");
        }
        assert!(matches!(read("<!DOCTYPE htmlx><x/>"), Markup::Xml { .. }));
    }
}
