//! What has to be known of the machine to read the figures: processors, load, and what synchronising a file costs.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::peer::failed;

/// Files are synchronised so often.
const WRITES: usize = 50;

#[derive(Debug)]
pub(crate) struct Machine {
    processors: usize,
    kernel: String,
    /// The median of writing 4 KiB to a file and synchronising it, where servers keep theirs.
    sync: Duration,
    /// The load average over a minute, at the beginning and at the end.
    load: (f64, f64),
}

impl Machine {
    pub(crate) fn look() -> Result<Self, String> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease");
        let load = load()?;
        Ok(Self {
            processors: std::thread::available_parallelism().map_or(1, Into::into),
            kernel: release.unwrap_or_default().trim().to_owned(),
            sync: sync()?,
            load: (load, load),
        })
    }

    pub(crate) fn look_again(&mut self) -> Result<(), String> {
        self.load.1 = load()?;
        Ok(())
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "processors": self.processors,
            "kernel": self.kernel,
            "sync_ns": self.sync.as_nanos() as u64,
            "load_before": self.load.0,
            "load_after": self.load.1,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.load;
        write!(
            f,
            "{} processors, Linux {}; load {before} before and {after} after; 4 KiB to disk and synchronised: {:.0?}",
            self.processors, self.kernel, self.sync
        )
    }
}

fn load() -> Result<f64, String> {
    let text = fs::read_to_string("/proc/loadavg").map_err(failed("the load is not known"))?;
    let first = text.split_whitespace().next().unwrap_or_default();
    first.parse().map_err(failed("the load is not known"))
}

fn sync() -> Result<Duration, String> {
    let mut file = tempfile::tempfile().map_err(failed("no file can be written"))?;
    let mut took = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let began = Instant::now();
        let written = file.write_all(&[7; 4_096]).and_then(|()| file.sync_data());
        written.map_err(failed("no file can be written"))?;
        took.push(began.elapsed());
    }
    took.sort();
    Ok(took[WRITES / 2])
}
