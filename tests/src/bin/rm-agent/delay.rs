//! A way to a server that takes time: what is sent arrives so much later, either way, and nothing else changes.
//!
//! Threads, as a runtime's timers are too coarse for parts of a millisecond. Making a connection takes no time here, and a
//! round trip on a network: that is in favour of whoever connects often.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Pieces that are under way at once, in one direction of one connection: then the sender waits, as on a network.
const UNDER_WAY_MAX: usize = 1024;
const PIECE_BYTES: usize = 16 << 10;

/// An address that leads to `server`, until the process ends.
pub(crate) fn delayed(server: SocketAddr, each_way: Duration) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // Whoever called finds the connection closed.
            let _ = connect(client, server, each_way);
        }
    });
    Ok(address)
}

fn connect(client: TcpStream, server: SocketAddr, each_way: Duration) -> io::Result<()> {
    let there = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    there.set_nodelay(true)?;
    pass(client.try_clone()?, there.try_clone()?, each_way);
    pass(there, client, each_way);
    Ok(())
}

/// One direction.
fn pass(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sent, under_way) = mpsc::sync_channel::<(Instant, Vec<u8>)>(UNDER_WAY_MAX);
    thread::spawn(move || {
        let mut piece = vec![0; PIECE_BYTES];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            let due = Instant::now() + delay;
            if sent.send((due, piece[..count].to_vec())).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in under_way {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                return;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
