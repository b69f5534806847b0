//! The first run of each stream.

use futures_util::future::join_all;
use lastpass_elastic::document::Stream;
use serde_json::{Value, json};

use crate::{
    failure::Failure as _,
    function::{self, Function},
    payload,
};

/// Returns the streams that were never read, from the answer to `status` for one account.
pub fn unread(status: &Value) -> Vec<Stream> {
    Stream::ALL.into_iter().filter(|stream| status["streams"][stream.as_str()]["watermark"].is_null()).collect()
}

/// Reads `streams` for the first time, all at once, and returns the answer or the error of each.
///
/// # Errors
/// [`function::Error::Aws`] if AWS cannot be used.
pub async fn start(
    function: &Function,
    streams: &[Stream],
    account: Option<&str>,
) -> Result<Vec<Value>, function::Error> {
    let run = |stream: &Stream| {
        let stream = stream.as_str();
        let request = payload::with_account(&json!({"action": "collect", "stream": stream}), account);
        async move {
            match function.invoke(&request).await {
                Ok(answer) => Ok(answer),
                Err(error @ function::Error::Failed { .. }) => {
                    let mut answer = error.document();
                    answer["stream"] = stream.into();
                    Ok(answer)
                }
                Err(error) => Err(error),
            }
        }
    };
    join_all(streams.iter().map(run)).await.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_without_a_watermark_was_never_read() {
        let status =
            json!({"streams": {"user": {"watermark": "2026-10-05T00:00:00Z"}, "event_report": {"watermark": null}}});
        assert_eq!(unread(&status), [Stream::EventReport, Stream::DetailedSharedFolder]);
    }
}
