//! The picture of `rmctl top`, and what keys do to it: a state, and a function that draws it.
//!
//! It is legible on 80 columns by 24 lines and without colour: what is selected is reversed, what matters is bold.

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph, Row, Table, TableState, Wrap};

use super::sample::TopLine;
use super::{LOCKS, SERVERS, WAITS, lock_row, server_row, wait_row};
use crate::cli::args::Sort;

/// Servers that are shown at most, so that the locks have room.
const SERVERS_SHOWN: u16 = 5;
/// The longest filter: a name is no longer.
const FILTER_MAX: usize = 255;

/// What is shown.
#[derive(Debug)]
pub(super) struct Screen {
    line: TopLine,
    /// What is wrong at the moment; empty: nothing.
    trouble: String,
    pub(super) sort: Sort,
    pub(super) filter: String,
    is_typing: bool,
    pub(super) is_paused: bool,
    list: List,
    locks: TableState,
    waits: TableState,
    /// The answer to why, and how far it is scrolled.
    why: Option<(String, u16)>,
}

/// In which list something is selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Locks,
    Waits,
}

/// What is to be done after a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Nothing,
    Quit,
    /// Other locks are to be shown, or in another order.
    Choose,
    /// Somebody wants to know about the lock with this name, in hexadecimal.
    Why(String),
}

impl Screen {
    pub(super) fn new(sort: Sort, filter: &str) -> Self {
        let selected = || TableState::new().with_selected(0);
        Self {
            line: TopLine::default(),
            trouble: "asking".into(),
            sort,
            filter: filter.into(),
            is_typing: false,
            is_paused: false,
            list: List::Locks,
            locks: selected(),
            waits: selected(),
            why: None,
        }
    }

    /// There is news.
    pub(super) fn show(&mut self, line: TopLine) {
        self.trouble.clear();
        if !self.is_paused {
            self.line = line;
        }
    }

    /// There is none, and why.
    pub(super) fn trouble(&mut self, text: &str) {
        self.trouble = text.into();
    }

    /// The answer to why.
    pub(super) fn explain(&mut self, text: String) {
        self.why = Some((text, 0));
    }

    pub(super) fn on_key(&mut self, key: KeyEvent) -> Act {
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Act::Quit;
        }
        if self.is_typing {
            return self.on_typed(key.code);
        }
        if let Some((_, scrolled)) = &mut self.why {
            match key.code {
                KeyCode::Down | KeyCode::Char('j') => *scrolled = scrolled.saturating_add(1),
                KeyCode::Up | KeyCode::Char('k') => *scrolled = scrolled.saturating_sub(1),
                _ => self.why = None,
            }
            return Act::Nothing;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Act::Quit,
            KeyCode::Char('p') => self.is_paused = !self.is_paused,
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('s') => {
                self.sort = match self.sort {
                    Sort::Moves => Sort::Recalls,
                    Sort::Recalls => Sort::Name,
                    Sort::Name => Sort::Moves,
                };
                self.line.sort(self.sort);
                return Act::Choose;
            }
            KeyCode::Tab => {
                self.list = match self.list {
                    List::Locks => List::Waits,
                    List::Waits => List::Locks,
                };
            }
            KeyCode::Down | KeyCode::Char('j') => self.selected().select_next(),
            KeyCode::Up | KeyCode::Char('k') => self.selected().select_previous(),
            KeyCode::Enter => {
                if let Some(name) = self.name() {
                    return Act::Why(name);
                }
            }
            _ => {}
        }
        Act::Nothing
    }

    fn on_typed(&mut self, code: KeyCode) -> Act {
        match code {
            KeyCode::Enter | KeyCode::Esc => self.is_typing = false,
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(typed) if self.filter.len() < FILTER_MAX => self.filter.push(typed),
            _ => {}
        }
        Act::Choose
    }

    const fn selected(&mut self) -> &mut TableState {
        match self.list {
            List::Locks => &mut self.locks,
            List::Waits => &mut self.waits,
        }
    }

    /// The name of what is selected, in hexadecimal.
    fn name(&self) -> Option<String> {
        match self.list {
            List::Locks => {
                let lock = self.line.locks.get(self.locks.selected()?)?;
                Some(lock.name_hex.clone())
            }
            List::Waits => {
                let wait = self.line.waits.get(self.waits.selected()?)?;
                Some(wait.name_hex.clone())
            }
        }
    }

    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        // A list that was empty has lost its selection.
        let select_first = |state: &mut TableState, rows: usize| {
            if state.selected().is_none() && rows > 0 {
                state.select_first();
            }
        };
        select_first(&mut self.locks, self.line.locks.len());
        select_first(&mut self.waits, self.line.waits.len());
        let servers = self.line.servers.len().min(usize::from(SERVERS_SHOWN)) as u16;
        let [head, top, locks, waits, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(servers + 1),
            Constraint::Fill(3),
            Constraint::Fill(2),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let bold = Style::new().add_modifier(Modifier::BOLD);
        frame.render_widget(Line::styled(self.headline(), bold), head);
        self.draw_servers(frame, top);
        self.draw_locks(frame, locks);
        self.draw_waits(frame, waits);
        frame.render_widget(Line::from(self.footline()), foot);
        if let Some((text, scrolled)) = &self.why {
            let area = frame.area();
            frame.render_widget(Clear, area);
            let page = Paragraph::new(text.as_str())
                .wrap(Wrap { trim: false })
                .scroll((*scrolled, 0))
                .block(Block::bordered().title("why (any key goes back)"));
            frame.render_widget(page, area);
        }
    }

    fn headline(&self) -> String {
        let mut text = String::from("rmctl top");
        if self.is_paused {
            text.push_str("  PAUSED");
        }
        if !self.filter.is_empty() || self.is_typing {
            text.push_str("  /");
            text.push_str(&self.filter);
            if self.is_typing {
                text.push('_');
            }
        }
        if !self.trouble.is_empty() {
            text.push_str("  ");
            text.push_str(&self.trouble);
        }
        text
    }

    fn footline(&self) -> String {
        let sort = match self.sort {
            Sort::Moves => "moves",
            Sort::Recalls => "recalls",
            Sort::Name => "name",
        };
        format!("q quit  ↑↓ select  Tab list  Enter why  s sort ({sort})  / filter  p pause")
    }

    fn draw_servers(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.line.servers.iter().take(usize::from(SERVERS_SHOWN));
        let widths = [Constraint::Fill(1)]
            .into_iter()
            .chain([Constraint::Length(10); 6]);
        let table = Table::new(rows.map(|server| Row::new(server_row(server))), widths);
        frame.render_widget(table.header(header(&SERVERS)), area);
    }

    fn draw_locks(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.line.locks.iter().map(|lock| Row::new(lock_row(lock)));
        let widths = [Constraint::Fill(1)]
            .into_iter()
            .chain([Constraint::Length(10); 4]);
        let table = Table::new(rows, widths).header(header(&LOCKS));
        let table = mark(table, self.list == List::Locks);
        frame.render_stateful_widget(table, area, &mut self.locks);
    }

    fn draw_waits(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.line.waits.iter().map(|wait| Row::new(wait_row(wait)));
        let widths = [
            Constraint::Length(12),
            Constraint::Fill(3),
            Constraint::Length(6),
            Constraint::Fill(2),
            Constraint::Fill(2),
        ];
        let table = Table::new(rows, widths).header(header(&WAITS));
        let table = mark(table, self.list == List::Waits);
        frame.render_stateful_widget(table, area, &mut self.waits);
    }
}

fn header(names: &[&'static str]) -> Row<'static> {
    let style = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
    Row::new(names.to_vec()).style(style)
}

/// What is selected in the list that keys go to is reversed.
fn mark(table: Table<'_>, is_chosen: bool) -> Table<'_> {
    if is_chosen {
        table.row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
    } else {
        table
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::sample::tests::line;
    use super::*;

    fn picture(screen: &mut Screen, columns: u16, lines: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(columns, lines)).expect("a terminal");
        terminal.draw(|frame| screen.draw(frame)).expect("drawn");
        terminal.backend().to_string()
    }

    fn shown() -> Screen {
        let mut screen = Screen::new(Sort::Moves, "");
        screen.show(line());
        screen
    }

    fn press(screen: &mut Screen, code: KeyCode) -> Act {
        screen.on_key(KeyEvent::from(code))
    }

    #[test]
    fn on_80_columns_and_24_lines_all_of_it_can_be_read() {
        let text = picture(&mut shown(), 80, 24);
        for part in [
            "SERVER",
            "active",
            "GRANTS/S",
            "volumes/42",
            "12.0 s",
            "write",
            "web-1",
            "resize job 7",
            "q quit",
        ] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
    }

    #[test]
    fn a_terminal_that_is_much_too_small_is_no_reason_to_fail() {
        for (columns, lines) in [(1, 1), (10, 3), (200, 2)] {
            picture(&mut shown(), columns, lines);
        }
    }

    #[test]
    fn enter_asks_why_about_what_is_selected() {
        let mut screen = Screen::new(Sort::Moves, "");
        picture(&mut screen, 80, 24);
        screen.show(line());
        picture(&mut screen, 80, 24);
        for (index, lock) in screen.line.locks.iter_mut().enumerate() {
            lock.name_hex = index.to_string();
        }
        screen.line.waits[0].name_hex = "w".into();
        assert_eq!(press(&mut screen, KeyCode::Enter), Act::Why("0".into()));
        press(&mut screen, KeyCode::Down);
        assert_eq!(press(&mut screen, KeyCode::Enter), Act::Why("1".into()));
        press(&mut screen, KeyCode::Tab);
        assert_eq!(press(&mut screen, KeyCode::Enter), Act::Why("w".into()));
        screen.explain("nobody waits".into());
        assert!(picture(&mut screen, 80, 24).contains("nobody waits"));
        assert_eq!(press(&mut screen, KeyCode::Char('q')), Act::Nothing);
        assert_eq!(press(&mut screen, KeyCode::Char('q')), Act::Quit);
    }

    #[test]
    fn while_a_filter_is_typed_letters_are_letters() {
        let mut screen = shown();
        press(&mut screen, KeyCode::Char('/'));
        assert_eq!(press(&mut screen, KeyCode::Char('q')), Act::Choose);
        assert_eq!(screen.filter, "q");
        press(&mut screen, KeyCode::Backspace);
        press(&mut screen, KeyCode::Enter);
        assert_eq!(press(&mut screen, KeyCode::Char('q')), Act::Quit);
    }

    #[test]
    fn what_is_paused_stays_as_it_is() {
        let mut screen = shown();
        press(&mut screen, KeyCode::Char('p'));
        screen.show(TopLine::default());
        let text = picture(&mut screen, 80, 24);
        assert!(
            text.contains("PAUSED") && text.contains("volumes/42"),
            "{text}"
        );
    }
}
