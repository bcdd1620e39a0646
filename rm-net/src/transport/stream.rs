//! One connection, whatever it is made of.
//!
//! It is written from whichever thread has something to say, and read by one task; both try, and wait only where the
//! socket is not ready. **Invariant:** after [`Stream::try_read_buf`] nothing that was read stays behind in the stream
//! unless [`Stream::readable`] says at once that there is something; after [`Stream::try_flush`] nothing that was written
//! stays behind at all.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::SystemTime;

use bytes::BytesMut;
use rustix::net::{Shutdown, shutdown};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

#[cfg(feature = "tls")]
use super::tls::TlsStream;

/// What [`Stream::read_buf`] reads at most.
const ONE_READ_BYTES: usize = 4 << 10;

/// A connection. All of its methods may be used from several threads at once.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>),
}

impl Stream {
    /// Plain TCP.
    pub(crate) fn tcp(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        Self::Tcp(stream)
    }

    /// Where its ends are, this one first; `None` where they have no addresses.
    pub(crate) fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        let socket = match self {
            Self::Tcp(stream) => stream,
            Self::Unix(_) => return None,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.socket(),
        };
        // One that listens to both families has the older in the clothes of the newer.
        let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        let ends = (socket.local_addr().ok()?, socket.peer_addr().ok()?);
        Some((plain(ends.0), plain(ends.1)))
    }

    /// Whom the other side's certificate names, and until when it is good; if it showed one.
    pub(crate) fn certificate(&self) -> Option<(String, SystemTime)> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => None,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.certificate(),
        }
    }

    /// Waits until there may be something to read. Cancel safe.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.readable().await,
        }
    }

    /// Waits until something may be written. Cancel safe.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            Self::Unix(stream) => stream.writable().await,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.socket().writable().await,
        }
    }

    /// Reads what there is, without waiting, up to `room` bytes; of what is encrypted, as many more as came in one record.
    /// 0 is the end.
    pub(crate) fn try_read_buf(&self, input: &mut BytesMut, room: usize) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => {
                let try_io = |read: Read<'_>| stream.try_io(Interest::READABLE, read);
                drain(stream, try_io, input, room)
            }
            Self::Unix(stream) => {
                let try_io = |read: Read<'_>| stream.try_io(Interest::READABLE, read);
                drain(stream, try_io, input, room)
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.try_read_buf(input, room),
        }
    }

    /// Takes some of `bytes` to write, without waiting. Some of what it took may stay behind until the next
    /// [`try_flush`](Self::try_flush).
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.try_write(bytes),
        }
    }

    /// Hands the system what stayed behind, without waiting.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.try_flush(),
        }
    }

    /// Nothing more is written: the other side sees the end.
    pub(crate) fn finish(&self) {
        self.shut(Shutdown::Write);
    }

    /// Nothing more is written or read.
    pub(crate) fn close(&self) {
        self.shut(Shutdown::Both);
    }

    fn shut(&self, how: Shutdown) {
        // A connection that broke is closed already.
        let _ = match self {
            Self::Tcp(stream) => shutdown(stream, how),
            Self::Unix(stream) => shutdown(stream, how),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                stream.say_end();
                shutdown(stream.socket(), how)
            }
        };
    }

    /// Waits for something to read, and reads it. 0 is the end. Cancel safe.
    ///
    /// Against a peer that talks without end the socket is always ready, and whoever reads in a loop would never wait: no
    /// timeout around it would be looked at, and this thread of the runtime would do nothing else. So each try is a part of
    /// the task's budget.
    pub(crate) async fn read_buf(&self, input: &mut BytesMut) -> io::Result<usize> {
        loop {
            tokio::task::consume_budget().await;
            self.readable().await?;
            match self.try_read_buf(input, ONE_READ_BYTES) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// Writes all of it. Not cancel safe: some of it may have been written.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let wrote = if bytes.is_empty() {
                self.try_flush().map(|()| 0)
            } else {
                self.try_write(bytes)
            };
            match wrote {
                Ok(_) if bytes.is_empty() => return Ok(()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
    }
}

/// One read, which says that it would have to wait where nothing is left to read.
type Read<'a> = &'a mut dyn FnMut() -> io::Result<()>;

/// Reads up to `room` bytes off a socket.
///
/// A read that did not fill its room has emptied the socket. The runtime is told so, by way of `try_io`, which spares the next
/// read, that would find nothing.
fn drain(
    socket: &impl AsFd,
    try_io: impl FnOnce(Read<'_>) -> io::Result<()>,
    input: &mut BytesMut,
    room: usize,
) -> io::Result<usize> {
    let before = input.len();
    input.resize(before + room, 0);
    let mut count = 0;
    let tried = try_io(&mut || {
        let read = || rustix::io::read(socket, &mut input[before..]);
        count = rustix::io::retry_on_intr(read)?;
        if count == 0 || count == room {
            Ok(())
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    });
    input.truncate(before + count);
    match tried {
        Err(_) if count > 0 => Ok(count),
        tried => tried.map(|()| count),
    }
}
