//! `rmd`: a server as a daemon, standalone, a member of a cluster, or in the middle of a tree.
//!
//! ```text
//! settings  flags, environment, file: what was said, and by whom
//! plan      whether it makes sense together
//! check     --check-config: prints both
//! logs      the log, and what is in it
//! event     what is printed
//! notify    what the service manager is told
//! pulse     whether the server is alive
//! reload    SIGHUP
//! stop      the end in good order
//! ```
//!
//! **Order.** First what can be refused without touching anything; then the log and the signals, so that none is lost;
//! then addresses; and only when all of them listen is anybody told that the server is ready.

use std::env;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use self::event::Event;
use self::plan::{Coordinator, Plan};
use self::settings::{Refused, Settings};
use super::agent;
use super::args::{self, Rmd};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::signals::Signals;
#[cfg(feature = "http")]
use crate::http;
use crate::node::{Node, NodeBuilder};
use crate::types::Types;

mod check;
pub(super) mod event;
pub(crate) mod logs;
mod notify;
mod plan;
pub(crate) mod pulse;
mod reload;
mod settings;
mod stop;

/// Beyond the wait for holders, a stop takes no longer.
const STOP_BEYOND: Duration = Duration::from_secs(5);

/// What this process was told, and how it prints; or the code to end with after help, a version or a complaint.
pub(crate) fn settings() -> Result<(Told, Output), Exit> {
    let argv: Vec<_> = env::args_os().collect();
    match Settings::load(&argv) {
        Ok(settings) => {
            let output = Output::new(settings.args.json);
            Ok((Told { argv, settings }, output))
        }
        Err(Refused::Usage(error)) => Err(args::refuse(&error)),
        Err(Refused::Config(failure)) => {
            let output = Output::new(argv.iter().any(|arg| arg == "--json"));
            output.fail("rmd", &failure);
            Err(failure.exit)
        }
    }
}

/// The settings, and the arguments that lead to them again.
#[derive(Debug)]
pub(crate) struct Told {
    argv: Vec<OsString>,
    settings: Settings,
}

pub(crate) async fn run(told: Told, types: Types, output: Output) -> Result<Exit, Failure> {
    let Told { argv, mut settings } = told;
    if settings.args.check_config {
        return check::run(&settings, &types, output);
    }
    let plan = Plan::of(&settings.args, &types)?;
    let logs = Arc::new(logs::Logs::start(
        &settings.args.log,
        settings.args.log_format,
    )?);
    // From here on: a signal that comes during the start is not lost.
    let listen = |wanted| {
        let signals = Signals::listen(wanted);
        signals.map_err(|error| Failure::system("cannot listen for signals", &error))
    };
    let mut signals = listen(&[Signal::INT, Signal::TERM])?;
    let mut hangups = listen(&[Signal::HUP])?;
    #[cfg(feature = "http")]
    let page = match &settings.args.http {
        Some(address) => Some(http::Listener::bind(address).await?),
        None => None,
    };
    if settings.args.agent {
        agent::make_dir(&settings.args.listen)?;
    }
    let node = builder(&settings.args, &plan, types.clone())
        .start()
        .await?;
    #[cfg(feature = "http")]
    let page = page.map(|page| page.serve(&node, &logs));
    let status = tell(&node, &settings.args, &plan, output)?;
    #[cfg(feature = "http")]
    if let Some(page) = &page {
        let event = Event::Page {
            address: page.address().to_string(),
        };
        output.print(&event, || event.in_words())?;
    }
    notify::ready(&status);
    if let Some(every) = notify::watched_every() {
        tokio::spawn(keep_telling(pulse::Pulse::of(&node), every));
    }
    let drain_timeout = settings.args.drain_timeout;
    let reload = reload::Reload {
        argv,
        logs,
        transport: plan.transport.clone(),
        node: &node,
        types,
        status,
    };
    let within = tokio::select! {
        _ = signals.next() => drain_timeout,
        within = node.drain_ordered() => within,
        never = reload.at_signals(&mut hangups, &mut settings) => match never {},
    };
    notify::stopping(within + STOP_BEYOND);
    #[cfg(feature = "http")]
    if let Some(page) = &page {
        page.note_stopping();
    }
    let is_member = !matches!(plan.coordinator, Coordinator::Standalone);
    end(&node, is_member, within, &mut signals, output).await
}

/// A node as the settings want it.
fn builder(args: &Rmd, plan: &Plan, types: Types) -> NodeBuilder {
    let mut builder = Node::builder()
        .types(types)
        .rules(plan.rules.clone())
        .transport(plan.transport.clone())
        .socket_mode(args.socket_mode)
        .lease(args.lease);
    for address in &args.listen {
        builder = builder.listen(address);
    }
    if let Some(data_dir) = &plan.data_dir {
        builder = builder.data_dir(data_dir);
    }
    for address in &args.creditor {
        builder = builder.creditor(address);
    }
    if let Some(name) = &args.name {
        builder = builder.name(name);
    }
    match &plan.coordinator {
        Coordinator::Standalone => builder,
        #[cfg(feature = "etcd")]
        Coordinator::Etcd(config) => {
            let cluster = &args.cluster;
            builder = builder.etcd((**config).clone()).weight(cluster.weight);
            match &cluster.advertise {
                Some(address) => builder.advertise(address),
                None => builder,
            }
        }
    }
}

/// Says that it listens. Returns it in a few words, for the service manager.
fn tell(node: &Node, args: &Rmd, plan: &Plan, output: Output) -> Result<String, Failure> {
    let status = node.status();
    let addresses = node.addresses().iter().map(ToString::to_string);
    let address = addresses.collect::<Vec<_>>().join(",");
    let in_short = format!("listening on {address}");
    let listening = match (&plan.coordinator, &plan.data_dir) {
        #[cfg(feature = "etcd")]
        (Coordinator::Etcd(_), _) => Event::Joining {
            address,
            name: args.name.clone().unwrap_or_else(crate::node::host_name),
            coordinator: args.cluster.coordinator.clone(),
            cluster: args.cluster.cluster.clone(),
        },
        (Coordinator::Standalone, Some(data_dir)) => Event::Listening {
            address,
            name: status.name,
            epoch: status.epoch,
            data_dir: data_dir.display().to_string(),
        },
        (Coordinator::Standalone, None) => Event::Relaying {
            address,
            name: status.name,
            creditor: args.creditor.join(","),
        },
    };
    output.print(&listening, || listening.in_words())?;
    Ok(in_short)
}

/// Tells the service manager that the server is alive, for as long as it is.
async fn keep_telling(pulse: pulse::Pulse, every: Duration) {
    let mut turns = tokio::time::interval(every);
    loop {
        turns.tick().await;
        if pulse.beats().await {
            notify::alive();
        }
    }
}

/// Gives back or hands over what there is, and stops. Another signal cuts the wait short.
async fn end(
    node: &Node,
    is_member: bool,
    within: Duration,
    signals: &mut Signals,
    output: Output,
) -> Result<Exit, Failure> {
    let in_the_way = if is_member {
        stop::hand_over(node, within, signals).await;
        Vec::new()
    } else {
        stop::drain(node, within, signals).await
    };
    for still in &in_the_way {
        output.print(still, || still.in_words())?;
    }
    let report = node.stop().await;
    let stopped = Event::Stopped {
        clean: report.is_clean,
        loans: report.loans,
    };
    output.print(&stopped, || stopped.in_words())?;
    Ok(Exit::OK)
}
