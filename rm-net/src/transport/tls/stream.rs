//! One TLS connection.
//!
//! The state of TLS is in a mutex beside the socket. Whoever writes encrypts under it and hands the records to the socket
//! as far as that takes them; whoever reads decrypts under it. It is held for such moments alone, never across an
//! `.await`, and nothing but TLS and the socket is called under it.
//!
//! **Bounds.** Plain text is taken only when all records before it have gone, and then up to the limit of the library
//! (64 KiB); what was read is handed out at once, so no more than one read of records is kept.
//!
//! **The end.** A side that closes says so, if the socket takes it. A connection that ends without that was cut off: an
//! error for whoever reads. The session above loses nothing by it; what was not acknowledged comes again.

use std::io::{self, BufRead as _, IoSlice, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::{BufMut as _, BytesMut};
use rustls::Connection;
use thiserror::Error;
use tokio::net::TcpStream;

use super::words::{self, Side};
use super::{Loaded, files};

/// So much is taken off the socket by one read: what records hold is less, and of some of them nothing is handed out at all,
/// but each is work.
const READ_BYTES: usize = 64 << 10;

/// A TLS connection whose handshake is over.
#[derive(Debug)]
pub(crate) struct TlsStream {
    socket: TcpStream,
    tls: Mutex<Connection>,
    side: Side,
    /// What the handshake was made with.
    loaded: Arc<Loaded>,
}

/// What is wrong with the connection, and what to do. An [`io::Error`] carries it.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct TlsProblem(pub(crate) String);

impl TlsStream {
    pub(super) const fn new(
        socket: TcpStream,
        tls: Connection,
        side: Side,
        loaded: Arc<Loaded>,
    ) -> Self {
        Self {
            socket,
            tls: Mutex::new(tls),
            side,
            loaded,
        }
    }

    pub(in crate::transport) const fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Whom the other side's certificate names, and until when it is good; if it showed one.
    pub(in crate::transport) fn certificate(&self) -> Option<(String, SystemTime)> {
        files::validity(self.tls().peer_certificates()?.first()?)
    }

    fn tls(&self) -> MutexGuard<'_, Connection> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there may be something to read. Cancel safe.
    pub(in crate::transport) async fn readable(&self) -> io::Result<()> {
        // What came with the end of the handshake is not in the socket any more.
        let has_some = self.tls().reader().fill_buf().is_ok();
        if has_some {
            return Ok(());
        }
        self.socket.readable().await
    }

    /// Reads what there is, without waiting, until there are `room` bytes, or what came with the last of them. 0 is the end.
    pub(in crate::transport) fn try_read_buf(
        &self,
        input: &mut BytesMut,
        room: usize,
    ) -> io::Result<usize> {
        let mut tls = self.tls();
        let before = input.len();
        let mut taken = 0;
        let ended = loop {
            let mut plain = tls.reader();
            match plain.fill_buf() {
                // The other side has said that this is the end.
                Ok([]) => break Ok(0),
                Ok(bytes) => {
                    let count = bytes.len();
                    input.put_slice(bytes);
                    plain.consume(count);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // It was cut off.
                Err(error) => break Err(error),
            }
            if input.len() - before >= room || taken >= READ_BYTES {
                // There may be more, and the socket says so at once. Nothing that was handed out is not the end.
                break Err(io::ErrorKind::WouldBlock.into());
            }
            match tls.read_tls(&mut Wire(&self.socket)) {
                Ok(count) => taken += count,
                Err(error) => break Err(error),
            }
            if let Err(error) = tls.process_new_packets() {
                // The other side is told why, if the socket takes it.
                let _ = push(&mut tls, &self.socket);
                return Err(self.problem(&error));
            }
        };
        match input.len() - before {
            0 => ended,
            // The end shows again at the next read.
            count => Ok(count),
        }
    }

    /// Encrypts some of `bytes`, and writes it as far as the socket takes it.
    pub(in crate::transport) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut tls = self.tls();
        push(&mut tls, &self.socket)?;
        let count = tls.writer().write(bytes)?;
        match push(&mut tls, &self.socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ if count == 0 => Err(io::ErrorKind::BrokenPipe.into()),
            _ => Ok(count),
        }
    }

    /// Writes the records that are left.
    pub(in crate::transport) fn try_flush(&self) -> io::Result<()> {
        push(&mut self.tls(), &self.socket)
    }

    /// Says that nothing more is said, if the socket takes it.
    pub(in crate::transport) fn say_end(&self) {
        let mut tls = self.tls();
        tls.send_close_notify();
        let _ = push(&mut tls, &self.socket);
    }

    fn problem(&self, error: &rustls::Error) -> io::Error {
        let why = words::explain(error, self.side, &self.loaded);
        io::Error::new(io::ErrorKind::InvalidData, TlsProblem(why))
    }
}

/// Hands the socket all records that there are.
fn push(tls: &mut Connection, socket: &TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        if tls.write_tls(&mut Wire(socket))? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

/// The socket as the library reads and writes it.
struct Wire<'a>(&'a TcpStream);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
