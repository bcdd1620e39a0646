//! What the system tells of this process. Linux tells it in `/proc`; elsewhere all of it is zero.

use std::time::Duration;

/// How much of the machine the process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Processor time since the start.
    pub(super) cpu: Duration,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) threads: u64,
}

impl Usage {
    /// At present. It reads files of the kernel, which do not block.
    pub(super) fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mut usage = parse(&status);
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        usage.cpu = Duration::new(
            u64::try_from(cpu.tv_sec).unwrap_or(0),
            u32::try_from(cpu.tv_nsec).unwrap_or(0),
        );
        usage
    }
}

fn parse(status: &str) -> Usage {
    let field = |name: &str| {
        let mut lines = status.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
        number.unwrap_or(0_u64)
    };
    Usage {
        cpu: Duration::ZERO,
        // The kernel says kB and means KiB.
        resident_bytes: field("VmRSS").saturating_mul(1_024),
        virtual_bytes: field("VmSize").saturating_mul(1_024),
        threads: field("Threads"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let usage = parse("Name:\trmd\nVmSize:\t  2048 kB\nVmRSS:\t    12 kB\nThreads:\t4\n");
        assert_eq!(usage.resident_bytes, 12 * 1_024);
        assert_eq!(usage.virtual_bytes, 2_048 * 1_024);
        assert_eq!(usage.threads, 4);
        assert_eq!(parse("nonsense"), Usage::default());
    }
}
