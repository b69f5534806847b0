//! The login of the command line in AWS.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::mpsc,
    thread,
};

const CONFIG: &str = "[profile user]
aws_access_key_id = id
aws_secret_access_key = key

[profile role]
role_arn = arn:aws:iam::123456789012:role/operator
source_profile = user
";

/// Returns the body of a request, after refusing the request.
fn refuse(mut stream: &TcpStream) -> io::Result<String> {
    let (mut reader, mut length) = (BufReader::new(stream), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().to_lowercase().strip_prefix("content-length:") {
            Some(number) => length = number.trim().parse().map_err(io::Error::other)?,
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    String::from_utf8(body).map_err(io::Error::other)
}

#[test]
fn a_profile_may_assume_a_role_in_the_region_of_the_option() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || listener.incoming().flatten().try_for_each(|stream| sender.send(refuse(&stream))));
    let config = Path::new(env!("CARGO_TARGET_TMPDIR")).join("assumed-role");
    fs::write(&config, CONFIG).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lastpass-elastic"));
    command.args(["status", "--profile", "role", "--region", "eu-west-1"]);
    command.env_clear().env("AWS_CONFIG_FILE", &config).env("AWS_ENDPOINT_URL", url);
    let output = command.output().expect("a result");
    let request =
        requests.try_recv().unwrap_or_else(|_| panic!("no request: {}", String::from_utf8_lossy(&output.stderr)));
    let request = request.expect("a request");
    assert!(request.contains("Action=AssumeRole") && request.contains("operator"), "{request}");
}
