//! A separate cluster that a test can stop and start.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use hyper::Method;
use tokio::process::{Child, Command};

use crate::{Elasticsearch, Error, IndexMode, unique, variable};

/// The command that starts a node, as a JSON list. `{work}` in it is replaced by the data folder. The local stack sets
/// it.
const COMMAND: &str = "LOCAL_ELASTICSEARCH_NODE";
const USER: &str = "elastic";
/// Longest time until a node is usable. Measured on two busy cores: 6 to 14 s.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Polling interval while a node starts or stops.
const POLL: Duration = Duration::from_millis(100);

/// A real node. Dropping it kills the node and deletes its data.
#[derive(Debug)]
pub struct Node {
    words: Vec<String>,
    work: PathBuf,
    password: String,
    process: Child,
    elasticsearch: Elasticsearch,
}

impl Node {
    /// Starts a new, empty node.
    ///
    /// # Errors
    /// [`Error::Unset`] if the command is not set; [`Error::Answer`] if the node does not start.
    pub async fn start() -> Result<Self, Error> {
        let command = variable(COMMAND).ok_or_else(|| Error::Unset(COMMAND.to_owned()))?;
        let words: Vec<String> =
            serde_json::from_str(&command).map_err(|source| Error::Json { what: COMMAND.to_owned(), source })?;
        let work = std::env::temp_dir().join(unique("elasticsearch"));
        for part in ["data", "logs", "tmp"] {
            let path = work.join(part);
            std::fs::create_dir_all(&path)
                .map_err(|source| Error::File { path: path.display().to_string(), source })?;
        }
        let password = unique("password");
        let (process, elasticsearch) = launch(&words, &work, &password).await?;
        let node = Self { words, work, password, process, elasticsearch };
        node.elasticsearch.put_index_mode(IndexMode::of_the_stack()).await?;
        Ok(node)
    }

    /// Returns the superuser's client. It changes with [`Node::start_again`], because the node gets a new port.
    #[must_use]
    pub fn elasticsearch(&self) -> Elasticsearch {
        self.elasticsearch.clone()
    }

    /// Returns the ID of its process, if it is running.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Stops the node cleanly: it closes its indices and connections.
    ///
    /// # Errors
    /// [`Error::Answer`] if the signal cannot be sent.
    pub async fn stop(&mut self) -> Result<(), Error> {
        let failed = |fault: std::io::Error| Error::Answer(format!("the node can't be stopped: {fault}"));
        if let Some(id) = self.process.id() {
            Command::new("kill").args(["-TERM", &id.to_string()]).status().await.map_err(failed)?;
        }
        self.process.wait().await.map(drop).map_err(failed)
    }

    /// Kills the node with SIGKILL, like a machine failure.
    ///
    /// # Errors
    /// [`Error::Answer`] if it cannot be killed.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.process.kill().await.map_err(|fault| Error::Answer(format!("the node can't be killed: {fault}")))
    }

    /// Starts the node again with its data and waits until it is usable.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub async fn start_again(&mut self) -> Result<(), Error> {
        (self.process, self.elasticsearch) = launch(&self.words, &self.work, &self.password).await?;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may already have ended.
        let _ = self.process.start_kill();
        // If the folder cannot be deleted, it stays among the temporary files.
        let _ = std::fs::remove_dir_all(&self.work);
    }
}

async fn launch(words: &[String], work: &std::path::Path, password: &str) -> Result<(Child, Elasticsearch), Error> {
    let failed = |what: String| Error::Answer(format!("the node does not start: {what}"));
    let port = work.join("port");
    // The file of an earlier start.
    let _ = std::fs::remove_file(&port);
    let words: Vec<String> = words.iter().map(|word| word.replace("{work}", &work.display().to_string())).collect();
    let (program, arguments) = words.split_first().ok_or_else(|| failed(format!("{COMMAND} is empty")))?;
    let log = std::fs::File::create(work.join("log")).map_err(|fault| failed(fault.to_string()))?;
    let mut process = Command::new(program)
        .args(arguments)
        .env("LOCAL_ELASTICSEARCH_PASSWORD", password)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(|fault| failed(fault.to_string()))?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .map_err(|fault| failed(fault.to_string()))?;
    let begun = Instant::now();
    loop {
        if let Ok(Some(status)) = process.try_wait() {
            let log = std::fs::read_to_string(work.join("log")).unwrap_or_default();
            return Err(failed(format!("{status}; it said:\n{log}")));
        }
        if begun.elapsed() > START_LIMIT {
            return Err(failed(format!("not of use after {START_LIMIT:?}")));
        }
        tokio::time::sleep(POLL).await;
        let Ok(port) = std::fs::read_to_string(&port) else { continue };
        let elasticsearch = Elasticsearch::new(&format!("http://127.0.0.1:{port}"), USER, password);
        let is_known = elasticsearch.try_request(Method::GET, "/_security/_authenticate", None).await;
        let is_licensed = elasticsearch.try_request(Method::GET, "/_license", None).await;
        if matches!((is_known, is_licensed), (Ok((200, _)), Ok((200, _)))) {
            return Ok((process, elasticsearch));
        }
    }
}
