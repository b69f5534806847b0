//! Measures the function against a real node: its share of the CPU time of both, and its time compared with a bare loop
//! that only sends the same bulk bodies.

use std::{
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    http::{
        Request,
        header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE},
    },
};
use flate2::{Compression, write::GzEncoder};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use lastpass_harness::{Elasticsearch, Function, Invocation, Method, Node, Watch};
use serde_json::{Value, json};

use crate::{
    Error,
    contestant::{Contestant, cpu},
    report::median,
    stage::Stage,
};

const DATA_STREAM: &str = "logs-lastpass.event_report-default";
/// The privileges of both API keys. The superuser is not used, because its privileges are not checked.
const RIGHTS: &str = r#"{"cluster": ["all"], "indices": [{"names": ["logs-*"], "privileges": ["all"]}]}"#;
/// Number of runs. The median counts.
const TIMES: usize = 5;
/// Bulk requests in progress at once. Source: the function.
const IN_FLIGHT: usize = 2;

/// The measurements of one run.
struct Took {
    wall: Duration,
    function_cpu: Duration,
    node_cpu: Duration,
}

/// Measures a run with this number of events on its own node, and prints the result.
pub(crate) async fn measure(function: &Path, events: usize) -> Result<(), Error> {
    let node = Node::start().await?;
    let node_pid = node.process_id().ok_or(Error::Gone)?;
    let elasticsearch = node.elasticsearch();
    let key = elasticsearch.create_key("bench", &serde_json::from_str(RIGHTS).map_err(Error::Json)?).await?;
    let stage = Stage::with_key(events, &key.encoded).await?;
    let bulks = bulks(&stage, function).await?;
    let mut variables = stage.variables();
    variables.insert("ELASTICSEARCH_URL".to_owned(), elasticsearch.url().to_owned());
    let contestant = Contestant { name: "function", program: function.to_owned(), variables };
    let mut function = Function::new(contestant.program.clone(), contestant.variables.clone(), Watch::default());
    function.ask(json!({"action": "setup"})).await?;
    let authorization = format!("ApiKey {}", key.encoded);
    let (mut runs, mut bare) = (Vec::new(), Vec::new());
    // The first run of each warms the node up.
    for _ in 0..=TIMES {
        delete(&elasticsearch).await?;
        stage.empty();
        runs.push(run(&mut function, node_pid, &stage.backfill()).await?);
        delete(&elasticsearch).await?;
        bare.push(send_all(elasticsearch.url(), &authorization, &bulks).await?);
        let (function, bare) = (runs.last().map(|run| run.wall), bare.last());
        eprintln!("==> function: {function:?}, the same bulk bodies: {bare:?}");
    }
    let of = |figure: fn(&Took) -> Duration| median(runs.iter().skip(1).map(figure)).as_secs_f64();
    let (wall, own, nodes) = (of(|run| run.wall), of(|run| run.function_cpu), of(|run| run.node_cpu));
    let bare = median(bare.into_iter().skip(1)).as_secs_f64();
    println!("{events} events, medians of {TIMES} runs:");
    println!(
        "  CPU time: function {own:.3} s, node {nodes:.3} s; the function's share {:.1} %",
        own / (own + nodes) * 100.0
    );
    println!("  duration: function {wall:.3} s, only the same bulk bodies {bare:.3} s; {:.2} ×", wall / bare);
    Ok(())
}

/// Returns the function's bulk bodies, compressed as the function does.
async fn bulks(stage: &Stage, function: &Path) -> Result<Vec<Bytes>, Error> {
    let contestant = Contestant { name: "function", program: function.to_owned(), variables: stage.variables() };
    let run = contestant.run(stage, &stage.backfill(), true).await?;
    let pack = |bulk: &Vec<u8>| {
        let mut body = GzEncoder::new(Vec::new(), Compression::fast());
        body.write_all(bulk).and_then(|()| body.finish()).map(Bytes::from).map_err(Error::Memory)
    };
    run.traffic.elasticsearch.bulks.iter().map(pack).collect()
}

async fn delete(elasticsearch: &Elasticsearch) -> Result<(), Error> {
    // 404 if it does not exist yet.
    elasticsearch.try_request(Method::DELETE, &format!("/_data_stream/{DATA_STREAM}"), None).await?;
    Ok(())
}

async fn run(function: &mut Function, node: u32, payload: &Value) -> Result<Took, Error> {
    function.start_up().await?;
    let pid = function.process_id().ok_or(Error::Gone)?;
    let (own, nodes, begun) = (cpu(pid)?, cpu(node)?, Instant::now());
    let invocation = Invocation::new(payload.clone()).with_timeout(Duration::from_secs(900));
    function.invoke(invocation).await?.answer()?;
    let (wall, function_cpu) = (begun.elapsed(), cpu(pid)?.saturating_sub(own));
    Ok(Took { wall, function_cpu, node_cpu: cpu(node)?.saturating_sub(nodes) })
}

/// Sends the bodies over open connections, as many at once as the function does. It checks only whether they were
/// accepted.
async fn send_all(url: &str, authorization: &str, bulks: &[Bytes]) -> Result<Duration, Error> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let http = Client::builder(TokioExecutor::new()).build(connector);
    let url =
        format!("{url}/{DATA_STREAM}/_bulk?require_data_stream=true&pipeline=_none&filter_path=items.create.status");
    let send = async |bulk: &Bytes| {
        let request = Request::post(&url)
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header(CONTENT_ENCODING, "gzip")
            .body(Full::new(bulk.clone()))
            .map_err(|_| Error::NotTaken)?;
        let answer = http.request(request).await.map_err(|_| Error::NotTaken)?;
        let is_taken = answer.status().is_success();
        answer.into_body().collect().await.map_err(|_| Error::NotTaken)?;
        if is_taken { Ok(()) } else { Err(Error::NotTaken) }
    };
    let begun = Instant::now();
    stream::iter(bulks).map(send).buffer_unordered(IN_FLIGHT).try_collect::<()>().await?;
    Ok(begun.elapsed())
}
