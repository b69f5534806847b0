//! The floor: the least CPU time that any program needs. It parses the responses of LastPass and compresses the bulk
//! bodies of the function, with the function's own crates and compression level, and does nothing else.

use std::{
    borrow::Cow,
    collections::HashMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use nix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::Value;

use crate::Error;

/// The function's level. Source: `src/elastic/encode.rs`.
const LEVEL: Compression = Compression::fast();

#[derive(Deserialize)]
struct Page<'a> {
    next: Option<i64>,
    #[serde(borrow)]
    data: HashMap<&'a str, Record<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    username: Cow<'a, str>,
    #[serde(borrow, rename = "IP_Address")]
    ip_address: Cow<'a, str>,
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    data: Cow<'a, str>,
}

/// Returns the CPU time of parsing and compressing.
pub(crate) fn floor(answers: &[Vec<u8>], bulks: &[Vec<u8>]) -> Result<Duration, Error> {
    let begun = thread_cpu()?;
    for answer in answers {
        let page: Page<'_> = serde_json::from_slice(answer).map_err(Error::Json)?;
        std::hint::black_box(page.data.values().map(Record::bytes).sum::<usize>());
    }
    for bulk in bulks {
        let mut body = GzEncoder::new(Vec::new(), LEVEL);
        body.write_all(bulk).map_err(Error::Memory)?;
        std::hint::black_box(body.finish().map_err(Error::Memory)?);
    }
    Ok(thread_cpu()?.saturating_sub(begun))
}

impl Record<'_> {
    fn bytes(&self) -> usize {
        [&self.time, &self.username, &self.ip_address, &self.action, &self.data].iter().map(|text| text.len()).sum()
    }
}

fn thread_cpu() -> Result<Duration, Error> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).map_err(Error::Clock)
}

/// Returns the responses of LastPass for all pages from `request` on.
pub(crate) fn answers(address: &str, mut request: Value) -> Result<Vec<Vec<u8>>, Error> {
    let mut answers = Vec::new();
    loop {
        let answer = post(address, &request.to_string())?;
        let next = serde_json::from_slice::<Page<'_>>(&answer).map_err(Error::Json)?.next;
        answers.push(answer);
        match next {
            Some(next) => request["data"]["next"] = next.into(),
            None => return Ok(answers),
        }
    }
}

/// Sends one request and returns the response body.
fn post(address: &str, body: &str) -> Result<Vec<u8>, Error> {
    let mut stream = TcpStream::connect(address).map_err(Error::Listen)?;
    let length = body.len();
    let head = format!("POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).map_err(Error::Listen)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(Error::Listen)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or(Error::Gone)?;
    Ok(answer.split_off(end + 4))
}
