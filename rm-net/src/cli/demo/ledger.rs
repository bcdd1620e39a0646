//! The ledger: accounts in one file, whose total never changes, and which only exclusion keeps consistent.
//!
//! A transfer reads the whole file, moves money, and writes the file anew in two halves with a pause between: a reader
//! in between would find half a file, another writer would undo the transfer. Each writer leaves its fencing
//! token and counts the transfers; readers and writers check all of it.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use super::client::pause;
use super::tally::Wrong;

/// The lock of the file.
pub(super) const LOCK: &str = "demo/ledger";

const FILE: &str = "ledger";
const ACCOUNTS: usize = 16;
const BALANCE_AT_FIRST: i64 = 1_000;
const TOTAL: i64 = ACCOUNTS as i64 * BALANCE_AT_FIRST;

/// What is in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ledger {
    /// The fencing token of the last writer; 0 before the first.
    pub(super) fence: u64,
    /// How many transfers were made.
    pub(super) transfers: u64,
    balances: Vec<i64>,
}

/// Writes the file as it is at first.
pub(super) fn found(dir: &Path) -> io::Result<()> {
    fs::write(dir.join(FILE), Ledger::new().to_text())
}

/// The file as it is, checked; in words what is wrong with it.
pub(super) fn read(dir: &Path) -> Result<Ledger, String> {
    let text = fs::read_to_string(dir.join(FILE));
    let text = text.map_err(|error| format!("the ledger cannot be read: {error}"))?;
    Ledger::parse(&text)
}

/// A reader's work, under a lock with that token (none under sabotage).
pub(super) fn audit(dir: &Path, fence: Option<u64>) -> Result<(), Wrong> {
    let ledger = read(dir).map_err(Wrong::Violation)?;
    ledger.check_fence(fence)
}

/// A writer's work: moves `amount`, in steps.
pub(super) async fn transfer(
    dir: &Path,
    fence: Option<u64>,
    random: &mut fastrand::Rng,
) -> Result<(), Wrong> {
    let mut ledger = read(dir).map_err(Wrong::Violation)?;
    ledger.check_fence(fence)?;
    pause().await;
    let (from, to) = (random.usize(..ACCOUNTS), random.usize(..ACCOUNTS));
    let amount = random.i64(1..100);
    ledger.balances[from] -= amount;
    ledger.balances[to] += amount;
    ledger.transfers += 1;
    ledger.fence = fence.unwrap_or(ledger.fence);
    let stored = store(&dir.join(FILE), &ledger.to_text()).await;
    stored.map_err(|error| Wrong::Failure(format!("the ledger cannot be written: {error}")))
}

async fn store(path: &Path, text: &str) -> io::Result<()> {
    let (first, second) = text.as_bytes().split_at(text.len() / 2);
    let mut file = fs::File::create(path)?;
    file.write_all(first)?;
    pause().await;
    file.write_all(second)
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            fence: 0,
            transfers: 0,
            balances: vec![BALANCE_AT_FIRST; ACCOUNTS],
        }
    }

    fn check_fence(&self, fence: Option<u64>) -> Result<(), Wrong> {
        match fence {
            Some(fence) if fence <= self.fence => Err(Wrong::Violation(format!(
                "the ledger was written with token {}, and a later lock has {fence}",
                self.fence
            ))),
            _ => Ok(()),
        }
    }

    fn to_text(&self) -> String {
        let mut text = format!("fence {}\ntransfers {}\n", self.fence, self.transfers);
        for balance in &self.balances {
            writeln!(text, "account {balance}").expect("a string takes everything");
        }
        text.push_str("end\n");
        text
    }

    fn parse(text: &str) -> Result<Self, String> {
        let torn = || format!("the ledger is torn: {} bytes without sense", text.len());
        let body = text.strip_suffix("end\n").ok_or_else(torn)?;
        let mut ledger = Self {
            balances: Vec::new(),
            ..Self::new()
        };
        for line in body.lines() {
            let (what, number) = line.split_once(' ').ok_or_else(torn)?;
            match what {
                "fence" => ledger.fence = number.parse().map_err(|_| torn())?,
                "transfers" => ledger.transfers = number.parse().map_err(|_| torn())?,
                "account" => ledger.balances.push(number.parse().map_err(|_| torn())?),
                _ => return Err(torn()),
            }
        }
        let total: i64 = ledger.balances.iter().sum();
        if ledger.balances.len() != ACCOUNTS || total != TOTAL {
            return Err(format!("the ledger adds up to {total} instead of {TOTAL}"));
        }
        Ok(ledger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_read_as_it_was_written() {
        let mut ledger = Ledger::new();
        ledger.balances[0] -= 2_000;
        ledger.balances[1] += 2_000;
        (ledger.fence, ledger.transfers) = (7, 3);
        assert_eq!(Ledger::parse(&ledger.to_text()), Ok(ledger));
    }

    #[test]
    fn every_cut_of_a_ledger_is_found_torn() {
        let text = Ledger::new().to_text();
        for end in 0..text.len() {
            assert!(Ledger::parse(&text[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn money_that_came_or_went_is_found() {
        let mut ledger = Ledger::new();
        ledger.balances[3] += 1;
        assert!(
            Ledger::parse(&ledger.to_text())
                .unwrap_err()
                .contains("adds up")
        );
    }

    #[test]
    fn a_token_that_does_not_rise_is_a_violation() {
        let mut ledger = Ledger::new();
        ledger.fence = 7;
        assert!(matches!(
            ledger.check_fence(Some(7)),
            Err(Wrong::Violation(_))
        ));
        assert!(ledger.check_fence(Some(8)).is_ok());
    }
}
