//! The end of standard input, as a sign that whoever started the program is gone or done.

use std::io::Read as _;
use std::thread;

use tokio::sync::oneshot;

/// Ends when standard input does. What comes in before is thrown away.
///
/// A thread of its own reads: the runtime would wait for a blocked reader of its own when it ends, the
/// process does not wait for this one.
pub(crate) fn closed() -> oneshot::Receiver<()> {
    let (ended, closed) = oneshot::channel::<()>();
    thread::spawn(move || {
        let mut buffer = [0; 4_096];
        let mut input = std::io::stdin().lock();
        while input.read(&mut buffer).is_ok_and(|count| count > 0) {}
        // If nobody waits for it any more, nobody needs it.
        let _ = ended.send(());
    });
    closed
}
