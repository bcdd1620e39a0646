//! The terminal of `rmctl top`: it is put back as it was at the end, on an error, on a signal and on a panic.
//!
//! A task asks the servers, a thread reads keys, and the main task draws and waits for no server: so a server that hangs
//! does not keep anybody from quitting.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use rm_core::id::ResourceKey;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::sample::{Sampler, TopLine};
use super::screen::{Act, Screen};
use crate::cli::args::Sort;
use crate::cli::exit::{Exit, Failure};
use crate::cli::signals::{ENDING, Signals};
use crate::cli::why::{self, words};

/// How long the thread that reads keys goes without looking whether it should end.
const KEY_PATIENCE: Duration = Duration::from_millis(100);
/// Keys, and news, that wait to be looked at.
const QUEUE_MAX: usize = 64;

/// What the main task orders of the one that asks.
enum Order {
    Choose(Sort, String),
    Why(String),
}

/// What it answers.
enum News {
    Sample(Result<TopLine, Failure>),
    Why(String),
}

/// The terminal, put back when it is dropped.
struct Stage(DefaultTerminal);

impl Stage {
    /// Also makes a panic put it back first.
    fn set() -> Result<Self, Failure> {
        let terminal = ratatui::try_init();
        terminal
            .map(Self)
            .map_err(|error| Failure::system("cannot use the terminal", &error))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

pub(super) async fn run(sampler: Sampler, span: Duration) -> Result<Exit, Failure> {
    let signals = Signals::listen(&ENDING);
    let mut signals =
        signals.map_err(|error| Failure::system("cannot listen for signals", &error))?;
    let filter = String::from_utf8_lossy(&sampler.prefix).into_owned();
    let mut screen = Screen::new(sampler.sort, &filter);
    let (orders, ordered) = mpsc::channel(QUEUE_MAX);
    let (tell, mut news) = mpsc::channel(QUEUE_MAX);
    let asking = tokio::spawn(ask(sampler, span, ordered, tell));
    let mut stage = Stage::set()?;
    let mut keys = Keys::listen();
    let done = loop {
        let drawn = stage.0.draw(|frame| screen.draw(frame));
        if let Err(error) = drawn {
            break Err(Failure::system("cannot draw on the terminal", &error));
        }
        let act = tokio::select! {
            key = keys.next() => match key {
                Ok(Some(key)) => screen.on_key(key),
                Ok(None) => Act::Nothing,
                Err(error) => break Err(Failure::system("cannot read the terminal", &error)),
            },
            told = news.recv() => {
                match told {
                    Some(News::Sample(Ok(line))) => screen.show(line),
                    Some(News::Sample(Err(failure))) => screen.trouble(&failure.error),
                    Some(News::Why(text)) => screen.explain(text),
                    None => break Err(Failure::new(Exit::SYSTEM, "the task that asks has ended")),
                }
                Act::Nothing
            }
            signal = signals.next() => break Ok(Exit::signalled(signal.as_raw())),
        };
        // Where too much was ordered already, a key is lost, as with any busy program.
        let _ = match act {
            Act::Nothing => Ok(()),
            Act::Quit => break Ok(Exit::OK),
            Act::Choose => orders.try_send(Order::Choose(screen.sort, screen.filter.clone())),
            Act::Why(name) => orders.try_send(Order::Why(name)),
        };
    };
    asking.abort();
    done
}

/// Asks the servers, again and again and when it is told to.
async fn ask(
    mut sampler: Sampler,
    span: Duration,
    mut orders: mpsc::Receiver<Order>,
    news: mpsc::Sender<News>,
) {
    let mut ticks = interval(span);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let told = tokio::select! {
            _ = ticks.tick() => News::Sample(sampler.sample().await),
            order = orders.recv() => match order {
                Some(Order::Choose(sort, filter)) => {
                    sampler.sort = sort;
                    sampler.prefix = filter.into_bytes();
                    continue;
                }
                Some(Order::Why(name)) => News::Why(explain(&mut sampler, &name).await),
                None => return,
            },
        };
        if news.send(told).await.is_err() {
            return;
        }
    }
}

/// What `rmctl why` says of the lock with that name, in hexadecimal.
async fn explain(sampler: &mut Sampler, name: &str) -> String {
    match explained(sampler, name).await {
        Ok(text) => text,
        Err(failure) => failure.error,
    }
}

async fn explained(sampler: &mut Sampler, name: &str) -> Result<String, Failure> {
    let bytes: Option<Vec<u8>> = (0..name.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(name.get(at..at + 2)?, 16).ok())
        .collect();
    let key = bytes.and_then(|bytes| ResourceKey::new(&bytes).ok());
    let key =
        key.ok_or_else(|| Failure::new(Exit::PROTOCOL, "the server told a name that is none"))?;
    let mut servers = sampler.servers().await?;
    let mut texts = Vec::new();
    for graph in why::graphs(&mut servers, &key).await? {
        let paths = why::follow::follow(&mut servers, &graph).await?;
        let from = graph.waits.len().checked_sub(1);
        texts.push(words::in_plain_words(&graph, from, &paths));
    }
    sampler.keep(servers);
    if texts.is_empty() {
        return Ok("nothing is told of it any more".into());
    }
    Ok(texts.join("\n\n"))
}

/// Keys, as a thread reads them; it ends with this.
struct Keys {
    events: mpsc::Receiver<io::Result<Event>>,
    is_over: Arc<AtomicBool>,
}

impl Keys {
    fn listen() -> Self {
        let (tell, events) = mpsc::channel(QUEUE_MAX);
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        std::thread::spawn(move || {
            // Relaxed: it ends a moment earlier or later.
            while !ends.load(Ordering::Relaxed) {
                let event = match event::poll(KEY_PATIENCE) {
                    Ok(false) => continue,
                    Ok(true) => event::read(),
                    Err(error) => Err(error),
                };
                let is_error = event.is_err();
                if tell.blocking_send(event).is_err() || is_error {
                    return;
                }
            }
        });
        Self { events, is_over }
    }

    /// The next key; `None`: something else happened, such as that the window has another size. Cancel safe.
    async fn next(&mut self) -> io::Result<Option<KeyEvent>> {
        match self.events.recv().await {
            Some(Ok(Event::Key(key))) if key.kind == KeyEventKind::Press => Ok(Some(key)),
            Some(Ok(_)) => Ok(None),
            Some(Err(error)) => Err(error),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // Relaxed: see above.
        self.is_over.store(true, Ordering::Relaxed);
    }
}
