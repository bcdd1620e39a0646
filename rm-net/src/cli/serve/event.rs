//! What `rmd` prints: when it is ready, what was in the way of its end, and when it has stopped.

use rm_core::front::InTheWay;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::output::{hex, millis, readable, tame};

/// One line of it.
#[derive(JsonSchema, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(in crate::cli) enum Event {
    /// It was not back when the time was over.
    InTheWay {
        /// The name, of the server or of the lock; bytes that are no text as `\xNN`.
        name: String,
        /// The name exactly: its bytes in hexadecimal.
        name_hex: String,
        /// The type of the lock, such as `rw-lock`.
        r#type: &'static str,
        /// `held` here, or `lent` to a client.
        what: String,
        /// The node that has it; empty where it is not known.
        node: String,
        /// What the request called itself; empty if nothing.
        label: String,
        /// The mode, such as `read`; empty where it is not known.
        mode: String,
        /// For how long; null where it is not known.
        age_ms: Option<u64>,
        #[serde(skip)]
        text: String,
    },
    /// There was more than what was named.
    MoreInTheWay {
        /// How many.
        count: u64,
    },
    /// It serves: alone, or as the one that others borrow from.
    Listening {
        /// Where it listens.
        address: String,
        /// The name, of the server or of the lock; bytes that are no text as `\xNN`.
        name: String,
        /// Its epoch.
        epoch: u32,
        /// Where it keeps its epoch.
        data_dir: String,
    },
    /// One of several, or about to be: whether etcd answers is another matter.
    #[cfg(feature = "etcd")]
    Joining {
        /// Where it listens.
        address: String,
        /// The name, of the server or of the lock; bytes that are no text as `\xNN`.
        name: String,
        /// Who keeps the list of members.
        coordinator: String,
        /// The name of the cluster.
        cluster: String,
    },
    /// In the middle of a tree. Whether its creditor answers is another matter.
    Relaying {
        /// Where it listens.
        address: String,
        /// The name, of the server or of the lock; bytes that are no text as `\xNN`.
        name: String,
        /// Where it borrows.
        creditor: String,
    },
    /// The page, metrics and health are there too.
    #[cfg(feature = "http")]
    Page {
        /// Where it listens.
        address: String,
    },
    /// It was told to stop, and has. The last line.
    Stopped {
        /// Whether everything had come back.
        clean: bool,
        /// Loans that were still out.
        loans: u64,
    },
}

impl Event {
    /// The same for people.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::InTheWay { text, .. } => format!("not back in time: {text}"),
            Self::MoreInTheWay { count } => format!("not back in time: {count} more"),
            Self::Listening {
                address,
                name,
                epoch,
                data_dir,
            } => {
                let name = tame(name);
                format!("listening on {address} as {name}, epoch {epoch}, data in {data_dir}")
            }
            #[cfg(feature = "etcd")]
            Self::Joining {
                address,
                name,
                coordinator,
                cluster,
            } => {
                let name = tame(name);
                format!(
                    "listening on {address} as {name}, a member of cluster {cluster} by {coordinator}"
                )
            }
            Self::Relaying {
                address,
                name,
                creditor,
            } => {
                let name = tame(name);
                format!("listening on {address} as {name}, borrows from {creditor}")
            }
            #[cfg(feature = "http")]
            Self::Page { address } => {
                format!("page, metrics and health at http://{address}/")
            }
            Self::Stopped { clean: true, .. } => "stopped: all credit had come back".into(),
            Self::Stopped { loans, .. } => format!(
                "stopped, loans still out: {loans}; the next start lends nothing until the leases of all clients are over"
            ),
        }
    }
}

impl From<InTheWay> for Event {
    fn from(still: InTheWay) -> Self {
        Self::InTheWay {
            name: readable(still.key.as_bytes()),
            name_hex: hex(still.key.as_bytes()),
            r#type: still.type_name,
            what: still.what.to_string(),
            text: tame(&still.to_string()),
            node: still.node,
            label: still.label,
            mode: still.mode,
            age_ms: still.age.map(millis),
        }
    }
}
