//! The verdict: what was seen, what must hold, and whether it did.

use schemars::JsonSchema;
use serde::Serialize;

use super::Books;
use super::ledger::Ledger;
use super::tally::Counts;
use crate::cli::output::{BAD, GOOD, PLAIN};

/// What the demonstration ends with. The first seven keys are its stable shape; more may follow.
#[derive(Debug, JsonSchema, Serialize)]
pub(in crate::cli) struct Verdict {
    /// `ok`, `violated`, or `failed` where the work could not be done.
    verdict: &'static str,
    /// Times that a file was found as it must not be.
    violations: u64,
    /// Work done under read locks.
    reads: u64,
    /// Work done under write locks.
    writes: u64,
    /// Locks for which the server was asked.
    remote_acquires: u64,
    /// Locks that were served out of a client's cache.
    cached_acquires: u64,
    /// The longest wait of a writer.
    writer_wait_ms_max: u64,
    /// Work that could not be done: a lock not had or lost, a file not used.
    failures: u64,
    /// Loans, holds and waiting requests in the server's books at the end; 0 if they balance.
    books: u64,
    /// The first violations and failures, in words.
    described: Vec<String>,
}

impl Verdict {
    pub(super) fn new(counts: &Counts, books: &Books) -> Self {
        let mut described = counts.described.clone();
        if !books.is_balanced() {
            described.push(format!(
                "the books do not balance: {} loans, {} holds and {} waiting requests were left",
                books.loans, books.holds, books.waiting
            ));
        }
        let mut verdict = Self {
            verdict: "ok",
            violations: counts.violations,
            reads: counts.reads,
            writes: counts.writes,
            remote_acquires: counts.remote_acquires,
            cached_acquires: counts.cached_acquires,
            writer_wait_ms_max: counts.writer_wait_ms_max,
            failures: counts.failures,
            books: books.loans + books.holds + books.waiting,
            described,
        };
        if counts.reads == 0 || counts.writes == 0 {
            verdict.failures += 1;
            verdict
                .described
                .push("there was no work: give it more time with --seconds".into());
        }
        verdict.decide();
        verdict
    }

    /// Judges the ledger as it is at the end, after so many transfers: none may be lost.
    pub(super) fn judge_ledger(&mut self, ledger: &Result<Ledger, String>, transfers: u64) {
        let wrong = match ledger {
            Err(what) => Some(format!("at the end {what}")),
            Ok(ledger) if ledger.transfers != transfers => Some(format!(
                "{transfers} transfers were made, and the ledger has {}",
                ledger.transfers
            )),
            Ok(_) => None,
        };
        if let Some(wrong) = wrong {
            self.violations += 1;
            self.described.push(wrong);
        }
        self.decide();
    }

    pub(super) fn is_ok(&self) -> bool {
        self.verdict == "ok"
    }

    pub(super) fn in_words(&self) -> String {
        let work = format!(
            "{} reads and {} writes of shared files by separate processes; \
             {} locks asked of the server, {} served from the cache; a writer waited {} ms at most.",
            self.reads,
            self.writes,
            self.remote_acquires,
            self.cached_acquires,
            self.writer_wait_ms_max
        );
        let (style, judgement) = match self.verdict {
            "ok" => (
                GOOD,
                "OK: nothing was violated, no update was lost, and all credit is back at the server."
                    .into(),
            ),
            "violated" => (BAD, format!("VIOLATED: {} violations.", self.violations)),
            _ => (
                BAD,
                format!(
                    "FAILED: {} pieces of work could not be done, {} entries are left in the server's books.",
                    self.failures, self.books
                ),
            ),
        };
        let mut lines = vec![work, format!("{style}{judgement}{PLAIN}")];
        lines.extend(self.described.iter().map(|what| format!("  {what}")));
        lines.join("\n")
    }

    fn decide(&mut self) {
        self.verdict = if self.violations > 0 {
            "violated"
        } else if self.failures > 0 || self.books > 0 {
            "failed"
        } else {
            "ok"
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output;

    fn counts() -> Counts {
        Counts {
            reads: 1,
            writes: 2,
            transfers: 2,
            remote_acquires: 3,
            cached_acquires: 4,
            writer_wait_ms_max: 5,
            ..Counts::default()
        }
    }

    fn ledger(transfers: u64) -> Result<Ledger, String> {
        let mut ledger = Ledger::new();
        ledger.transfers = transfers;
        Ok(ledger)
    }

    fn judge(counts: &Counts, books: &Books, ledger: &Result<Ledger, String>) -> Verdict {
        let mut verdict = Verdict::new(counts, books);
        verdict.judge_ledger(ledger, counts.transfers);
        verdict
    }

    #[test]
    fn a_good_verdict_has_the_promised_shape() {
        let verdict = judge(&counts(), &Books::default(), &ledger(2));
        let json = output::json(&verdict);
        let promised = "{\"verdict\":\"ok\",\"violations\":0,\"reads\":1,\"writes\":2,\
                        \"remote_acquires\":3,\"cached_acquires\":4,\"writer_wait_ms_max\":5,";
        assert!(json.starts_with(promised), "{json}");
        assert!(verdict.is_ok());
        assert!(verdict.in_words().contains("OK: nothing was violated"));
    }

    #[test]
    fn a_violation_a_lost_update_and_a_broken_ledger_make_it_violated() {
        let mut violated = counts();
        violated.violations = 1;
        let balanced = Books::default();
        for verdict in [
            judge(&violated, &balanced, &ledger(2)),
            judge(&counts(), &balanced, &ledger(1)),
            judge(&counts(), &balanced, &Err("the total is wrong".into())),
        ] {
            assert_eq!(verdict.verdict, "violated");
            assert!(verdict.violations > 0);
            assert!(!verdict.is_ok());
        }
    }

    #[test]
    fn credit_that_is_not_back_or_work_that_was_not_done_makes_it_failed() {
        let unbalanced = Books {
            loans: 1,
            ..Books::default()
        };
        let idle = Counts::default();
        for verdict in [
            judge(&counts(), &unbalanced, &ledger(2)),
            judge(&idle, &Books::default(), &ledger(0)),
        ] {
            assert_eq!(verdict.verdict, "failed");
            assert!(!verdict.described.is_empty());
        }
    }
}
