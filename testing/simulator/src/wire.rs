//! Connections that can be closed on purpose, before a response or inside its body.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// The data that the client still receives.
#[derive(Debug, Clone, Copy)]
enum Allowed {
    Everything,
    /// The head of the next response, then this many bytes of its body.
    HeadAndBody(usize),
    /// This many bytes.
    Bytes(usize),
}

/// A handler's control over the connection of its request.
#[derive(Debug, Clone)]
pub(crate) struct Scissors(Arc<Mutex<Allowed>>);

impl Scissors {
    /// Closes the connection without sending anything more.
    pub(crate) fn cut_before_answer(&self) {
        self.set(Allowed::Bytes(0));
    }

    /// Sends the head and `body_bytes` of the body of the next response, then closes the connection.
    pub(crate) fn cut_inside_body(&self, body_bytes: usize) {
        self.set(Allowed::HeadAndBody(body_bytes));
    }

    fn set(&self, allowed: Allowed) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = allowed;
    }

    fn allowed(&self) -> Allowed {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts connections that can be closed on purpose.
pub(crate) struct CuttableListener(pub(crate) TcpListener);

impl Listener for CuttableListener {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Small responses must not wait for an acknowledgement. A failure only makes them slower.
        let _ = stream.set_nodelay(true);
        (CuttableStream { stream, scissors: Scissors(Arc::new(Mutex::new(Allowed::Everything))) }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for Scissors {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        stream.io().scissors.clone()
    }
}

/// A connection with its [`Scissors`].
pub(crate) struct CuttableStream {
    stream: TcpStream,
    scissors: Scissors,
}

impl AsyncRead for CuttableStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let allowed = match self.scissors.allowed() {
            Allowed::Everything => return Pin::new(&mut self.stream).poll_write(cx, bytes),
            Allowed::Bytes(left) => left,
            Allowed::HeadAndBody(body_bytes) => match bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end_of_head) => end_of_head + 4 + body_bytes,
                None => return Pin::new(&mut self.stream).poll_write(cx, bytes),
            },
        };
        if allowed == 0 {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionReset)));
        }
        let length = bytes.len().min(allowed);
        let written = Pin::new(&mut self.stream).poll_write(cx, &bytes[..length]);
        if let Poll::Ready(Ok(written)) = written {
            self.scissors.set(Allowed::Bytes(allowed - written));
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
