//! Views and reports as bytes, both ways.

use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use rm_core::book::{Book, BookLoan, Lessee};
use rm_core::cluster::{Report, ReportedBook, ReportedPast};
use rm_core::credit::{Colour, Opaque};
use rm_core::id::{Boot, NodeId, Party, TypeId};
use rm_core::view::{Member, MemberState, RootId, View};

use super::WireError;
use super::generated as pb;
use super::limits::{self, CREDIT_BYTES_MAX};
use super::{incoming, outgoing};

pub(super) fn view_out(view: &View) -> pb::View {
    let member = |member: &Member| pb::Member {
        name: Bytes::copy_from_slice(&member.name),
        reg: member.reg,
        address: member.address.clone(),
        leaving: member.state == MemberState::Leaving,
        weight: member.weight,
    };
    pb::View {
        epoch: view.epoch(),
        founded: view.founded(),
        lease_nanos: outgoing::nanos(view.lease().length()),
        members: view.members().iter().map(member).collect(),
    }
}

pub(super) fn view_in(view: pb::View) -> Result<Arc<View>, WireError> {
    let member = |member: pb::Member| Member {
        name: member.name.to_vec(),
        reg: member.reg,
        address: member.address,
        state: if member.leaving {
            MemberState::Leaving
        } else {
            MemberState::Full
        },
        weight: member.weight,
    };
    let members = view.members.into_iter().map(member).collect();
    let lease = Duration::from_nanos(view.lease_nanos);
    let bad = |bad: rm_core::view::BadView| WireError::Malformed {
        detail: format!("it carries a view that cannot be: {bad}"),
    };
    let made = View::new(view.epoch, lease, members).map_err(bad)?;
    Ok(Arc::new(made.founded_in(view.founded)))
}

pub(super) fn report_out(report: &Report) -> Result<pb::Report, WireError> {
    limits::count("Report.past", report.past.len(), limits::PAST_MAX)?;
    limits::count("Report.books", report.books.len(), limits::PART_BOOKS_MAX)?;
    let past = |past: &ReportedPast| pb::Past {
        view: Some(view_out(&past.view)),
        remaining_nanos: past.remaining.map(outgoing::nanos),
    };
    Ok(pb::Report {
        epoch: report.epoch,
        reg: report.reg,
        part: report.part,
        is_last: report.is_last,
        past: report.past.iter().map(past).collect(),
        books: report
            .books
            .iter()
            .map(book_out)
            .collect::<Result<_, _>>()?,
    })
}

pub(super) fn report_in(report: pb::Report) -> Result<Report, WireError> {
    let past = |past: pb::Past| {
        Ok(ReportedPast {
            view: view_in(incoming::required("Past.view", past.view)?)?,
            remaining: past
                .remaining_nanos
                .map(|nanos| incoming::span("Past.remaining", nanos))
                .transpose()?,
        })
    };
    Ok(Report {
        epoch: report.epoch,
        reg: report.reg,
        part: report.part,
        is_last: report.is_last,
        past: report
            .past
            .into_iter()
            .map(past)
            .collect::<Result<_, _>>()?,
        books: report
            .books
            .into_iter()
            .map(book_in)
            .collect::<Result<_, _>>()?,
    })
}

fn book_out(reported: &ReportedBook) -> Result<pb::Book, WireError> {
    let book = &reported.book;
    limits::count("Book.given", reported.given.len(), limits::MEMBERS_MAX)?;
    limits::count("Book.loans", book.loans.len(), limits::BOOK_LOANS_MAX)?;
    limits::count("Book.waiting", book.waiting.len(), limits::BOOK_WAITING_MAX)?;
    let root = |root: &RootId| pb::Root {
        node: root.node.0,
        reg: root.reg,
    };
    let loan = |(loan, remaining): (&BookLoan<Opaque>, &Duration)| {
        let credit = &loan.credit.0;
        limits::length("BookLoan.credit", credit.len(), 0, CREDIT_BYTES_MAX)?;
        let party = match loan.lessee {
            Lessee::Party(party) => party,
            Lessee::Unknown => Party::default(),
        };
        Ok(pb::BookLoan {
            is_unknown: loan.lessee == Lessee::Unknown,
            node: party.node.0,
            boot: party.boot.0,
            credit: Bytes::copy_from_slice(credit),
            loan: outgoing::loan(loan.id),
            limit: loan.limit,
            remaining_nanos: outgoing::nanos(*remaining),
        })
    };
    let loans = book.loans.iter().zip(&reported.remaining).map(loan);
    Ok(pb::Book {
        type_id: reported.type_id.0,
        key: Bytes::copy_from_slice(reported.key.as_bytes()),
        version: reported.version,
        given: reported.given.iter().map(root).collect(),
        loans: loans.collect::<Result<_, _>>()?,
        fence: book.fence,
        last_loan: outgoing::loan(book.last_loan),
        value: outgoing::value(book.value.as_deref())?,
        colour: book.colour.map(|colour| u32::from(colour.0)),
        waiting: book.waiting.iter().filter_map(outgoing::order).collect(),
    })
}

fn book_in(book: pb::Book) -> Result<ReportedBook, WireError> {
    let root = |root: pb::Root| RootId {
        node: NodeId(root.node),
        reg: root.reg,
    };
    let mut remaining = Vec::with_capacity(book.loans.len());
    let loan = |loan: pb::BookLoan| {
        remaining.push(incoming::span("BookLoan.remaining", loan.remaining_nanos)?);
        let party = Party {
            node: NodeId(loan.node),
            boot: Boot(loan.boot),
        };
        Ok(BookLoan {
            lessee: if loan.is_unknown {
                Lessee::Unknown
            } else {
                Lessee::Party(party)
            },
            credit: incoming::credit("BookLoan.credit", &loan.credit)?,
            id: incoming::loan("BookLoan.loan", loan.loan)?,
            limit: loan.limit,
        })
    };
    let loans = book.loans.into_iter().map(loan).collect::<Result<_, _>>()?;
    let waiting = book.waiting.into_iter();
    let waiting = waiting.map(|order| incoming::order("Book.waiting", Some(order)));
    Ok(ReportedBook {
        type_id: TypeId(book.type_id),
        key: incoming::key("Book.key", &book.key)?,
        version: book.version,
        given: book.given.into_iter().map(root).collect(),
        book: Book {
            loans,
            fence: book.fence,
            last_loan: incoming::loan("Book.last_loan", book.last_loan)?,
            value: incoming::value(book.value)?,
            colour: book
                .colour
                .and_then(|number| u8::try_from(number).ok())
                .map(Colour),
            waiting: waiting.collect::<Result<_, _>>()?,
        },
        remaining,
    })
}
