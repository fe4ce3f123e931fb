//! Clients that cost little: they share the cores with the signer that they measure.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// A request as it goes over the wire.
pub(crate) fn request(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends one request and reads its answer, which must be a 200. Gives the body.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the signer closed a connection");
            let Some(head_end) = find(&self.buffer, b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.buffer[..head_end])?.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.context("no content length")?.trim().parse()?;
            let body_start = head_end + 4;
            while self.buffer.len() < body_start + length {
                let read = self.stream.read_buf(&mut self.buffer).await?;
                ensure!(read > 0, "the signer closed a connection");
            }
            let body = &self.buffer[body_start..body_start + length];
            let status = head.lines().next().unwrap_or_default();
            ensure!(status.contains(" 200"), "{status}: {}", String::from_utf8_lossy(body));
            return Ok(&self.buffer[body_start..body_start + length]);
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Sends every request over `connections` keep-alive connections and waits for all answers.
pub(crate) async fn send_all(
    address: SocketAddr,
    connections: usize,
    requests: Vec<Vec<u8>>,
) -> Result<()> {
    let share = requests.len().div_ceil(connections).max(1);
    send_streams(address, requests.chunks(share).map(<[_]>::to_vec).collect()).await
}

/// Sends each stream of requests over a connection of its own, one request after another, and
/// waits for all answers.
pub(crate) async fn send_streams(address: SocketAddr, streams: Vec<Vec<Vec<u8>>>) -> Result<()> {
    let mut clients = JoinSet::new();
    for requests in streams {
        let mut connection = Connection::open(address).await?;
        clients.spawn(async move {
            for request in requests {
                connection.send(&request).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok(())
}
