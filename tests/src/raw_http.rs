//! HTTP/1.1 byte by byte, for what no well-behaved client does.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How long a test waits for bytes before it calls the signer stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// One TCP connection to a signer.
pub struct RawConnection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl RawConnection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        Ok(Self { stream: TcpStream::connect(address).await?, unread: Vec::new() })
    }

    /// Sends these bytes.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        Ok(self.stream.write_all(bytes.as_ref()).await?)
    }

    /// The next answer: its head in lower case, and as many bytes of body as it announces.
    ///
    /// # Errors
    /// When the connection ends before, or nothing comes for half a minute.
    pub async fn answer(&mut self) -> Result<(String, String)> {
        let head = loop {
            if let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                break String::from_utf8(head)?.to_lowercase();
            }
            self.fill().await?;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .map_or(Ok(0), |length| length.trim().parse())?;
        while self.unread.len() < length {
            self.fill().await?;
        }
        let body = self.unread.drain(..length).collect();
        Ok((head, String::from_utf8(body)?))
    }

    async fn fill(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.unread);
        let count = tokio::time::timeout(PATIENCE, read).await.context("nothing came")??;
        anyhow::ensure!(count > 0, "the connection ended after {} bytes", self.unread.len());
        Ok(())
    }

    /// Waits until the signer closes the connection. Gives what came before.
    ///
    /// # Errors
    /// When it stays open for half a minute.
    pub async fn closed(mut self) -> Result<Vec<u8>> {
        let read = self.stream.read_to_end(&mut self.unread);
        // A reset is an end, too.
        drop(tokio::time::timeout(PATIENCE, read).await.context("the connection stays open")?);
        Ok(self.unread)
    }
}

/// A signing request that accepts JSON, as bytes.
pub fn sign_request(public_key: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "POST /api/v1/eth2/sign/{public_key} HTTP/1.1\r\nhost: localhost\r\n\
         accept: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
