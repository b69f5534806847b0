//! The function against a real node: its share of the CPU time of both, and how much longer it takes than sending the same
//! bulk bodies and nothing else.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use lastpass_harness::{Elasticsearch, Function, Invocation, Method, Node, Watch};
use serde_json::{Value, json};

use crate::{
    Error,
    contestant::{Contestant, cpu},
    report::median,
    stage::Stage,
};

const DATA_STREAM: &str = "logs-lastpass.event_report-default";
/// What both keys may do. The superuser's own rights are not asked for.
const RIGHTS: &str = r#"{"cluster": ["all"], "indices": [{"names": ["logs-*"], "privileges": ["all"]}]}"#;
/// How often each is done; the median counts.
const TIMES: usize = 5;
/// Bulks under way at once: as many as the function has.
const IN_FLIGHT: usize = 2;

/// What one run took.
struct Took {
    wall: Duration,
    function_cpu: Duration,
    node_cpu: Duration,
}

/// Measures a run of so many events on a node of its own, and prints what came of it.
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
    let address = elasticsearch.url().trim_start_matches("http://").to_owned();
    let authorization = format!("ApiKey {}", key.encoded);
    let (mut runs, mut bare) = (Vec::new(), Vec::new());
    // The first of each warms the node up.
    for _ in 0..=TIMES {
        delete(&elasticsearch).await?;
        runs.push(run(&mut function, node_pid, &stage.backfill()).await?);
        delete(&elasticsearch).await?;
        bare.push(send_all(&address, &authorization, &bulks)?);
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
    println!("  duration: function {wall:.3} s, the same bulk bodies alone {bare:.3} s; {:.2} ×", wall / bare);
    Ok(())
}

/// The function's bulk bodies, gzipped as it does.
async fn bulks(stage: &Stage, function: &Path) -> Result<Arc<Vec<Vec<u8>>>, Error> {
    let contestant = Contestant { name: "function", program: function.to_owned(), variables: stage.variables() };
    let run = contestant.run(stage, &stage.backfill(), true).await?;
    let pack = |bulk: &Vec<u8>| {
        let mut body = GzEncoder::new(Vec::new(), Compression::fast());
        body.write_all(bulk).and_then(|()| body.finish()).map_err(Error::Memory)
    };
    Ok(Arc::new(run.traffic.elasticsearch.bulks.iter().map(pack).collect::<Result<_, _>>()?))
}

async fn delete(elasticsearch: &Elasticsearch) -> Result<(), Error> {
    // 404 where it does not exist yet.
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

/// Sends the bodies, as many at once as the function does, and looks at nothing but whether they were answered.
fn send_all(address: &str, authorization: &str, bulks: &Arc<Vec<Vec<u8>>>) -> Result<Duration, Error> {
    let begun = Instant::now();
    let senders: Vec<_> = (0..IN_FLIGHT)
        .map(|first| {
            let (bulks, address, authorization) = (Arc::clone(bulks), address.to_owned(), authorization.to_owned());
            std::thread::spawn(move || {
                bulks.iter().skip(first).step_by(IN_FLIGHT).try_for_each(|bulk| send(&address, &authorization, bulk))
            })
        })
        .collect();
    for sender in senders {
        sender.join().map_err(|_| Error::Gone)??;
    }
    Ok(begun.elapsed())
}

fn send(address: &str, authorization: &str, bulk: &[u8]) -> Result<(), Error> {
    let mut stream = TcpStream::connect(address).map_err(Error::Listen)?;
    let head = format!(
        "POST /{DATA_STREAM}/_bulk?require_data_stream=true&pipeline=_none&filter_path=items.create.status HTTP/1.1\r\n\
         Host: {address}\r\nAuthorization: {authorization}\r\nContent-Type: application/x-ndjson\r\n\
         Content-Encoding: gzip\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        bulk.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(bulk)).map_err(Error::Listen)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(Error::Listen)?;
    if answer.starts_with(b"HTTP/1.1 200") { Ok(()) } else { Err(Error::Gone) }
}
