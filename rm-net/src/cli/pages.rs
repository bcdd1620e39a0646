//! What a server lists, a page at a time; and what of it has a certain name, of whatever type.
//!
//! A server lists by type, then by name. It is not trusted to come to an end: a page that brings nothing is the last
//! one, and no more than [`TYPES_MAX`] types are looked through for a name.

use rm_core::id::{NAME_BYTES_MAX, ResourceKey, TypeId};
use rm_core::inspect::{Answer, LIST_MAX, Query, Summary};
use rm_core::resource::ResourceType as _;
use rm_types::SemaphoreType;

use super::contact::not_understood;
use super::exit::Failure;
use crate::error::InspectError;
use crate::{Client, Operator};

/// The most types that are looked through for a name.
const TYPES_MAX: usize = 256;

/// Who can be asked.
pub(crate) trait Ask {
    /// Asks something.
    async fn ask(&mut self, query: Query) -> Result<Answer, InspectError>;
}

impl Ask for Operator {
    async fn ask(&mut self, query: Query) -> Result<Answer, InspectError> {
        Self::ask(self, query).await
    }
}

impl Ask for &Client {
    async fn ask(&mut self, query: Query) -> Result<Answer, InspectError> {
        self.inspect(query).await
    }
}

/// The list, a page at a time.
#[derive(Debug)]
pub(crate) struct Pages {
    prefix: Vec<u8>,
    after: Option<(TypeId, ResourceKey)>,
    is_done: bool,
}

impl Pages {
    /// All resources whose name starts with `prefix`.
    pub(crate) const fn new(prefix: Vec<u8>) -> Self {
        Self {
            prefix,
            after: None,
            is_done: false,
        }
    }

    /// The next page; `None` after the last.
    pub(crate) async fn next(
        &mut self,
        server: &mut impl Ask,
    ) -> Result<Option<Vec<Summary>>, Failure> {
        if self.is_done {
            return Ok(None);
        }
        let query = Query::List {
            prefix: self.prefix.clone(),
            after: self.after.take(),
            limit: LIST_MAX,
        };
        let (resources, more) = list(server, query).await?;
        self.after = resources
            .last()
            .map(|last| (last.type_id, last.key.clone()));
        // A server that says "more" after an empty page would keep us here for ever.
        self.is_done = !more || resources.is_empty();
        Ok(Some(resources))
    }
}

/// All that is called `name`: of every type the resource of that name, and semaphores of any number of units.
pub(crate) async fn called(
    server: &mut impl Ask,
    name: &ResourceKey,
) -> Result<Vec<Summary>, Failure> {
    let mut found = Vec::new();
    let mut after = None;
    for _ in 0..TYPES_MAX {
        // A name comes before all others that begin with it. So the first of a type tells.
        let query = Query::List {
            prefix: name.as_bytes().to_vec(),
            after,
            limit: 1,
        };
        let (resources, _) = list(server, query).await?;
        let Some(first) = resources.into_iter().next() else {
            break;
        };
        after = Some((first.type_id, last_name()));
        if first.key == *name {
            found.push(first);
        }
    }
    found.extend(semaphores(server, name).await?);
    Ok(found)
}

/// Semaphores called `name`, whose resources have the number of units behind it.
async fn semaphores(server: &mut impl Ask, name: &ResourceKey) -> Result<Vec<Summary>, Failure> {
    let mut prefix = name.as_bytes().to_vec();
    prefix.push(b'#');
    let mut found = Vec::new();
    if prefix.len() > NAME_BYTES_MAX {
        return Ok(found);
    }
    let units_at = prefix.len();
    let mut pages = Pages {
        // From the end of the type before on.
        after: Some((TypeId(SemaphoreType::ID.0 - 1), last_name())),
        ..Pages::new(prefix)
    };
    while let Some(page) = pages.next(server).await? {
        let is_past = page
            .last()
            .is_none_or(|last| last.type_id > SemaphoreType::ID);
        found.extend(page.into_iter().filter(|summary| {
            let units = summary.key.as_bytes().get(units_at..);
            let is_number = units.is_some_and(|units| units.iter().all(u8::is_ascii_digit));
            summary.type_id == SemaphoreType::ID && is_number
        }));
        if is_past {
            break;
        }
    }
    Ok(found)
}

async fn list(server: &mut impl Ask, query: Query) -> Result<(Vec<Summary>, bool), Failure> {
    match server.ask(query).await? {
        Answer::List { resources, more } => Ok((resources, more)),
        _ => Err(not_understood()),
    }
}

/// No name comes after it.
fn last_name() -> ResourceKey {
    ResourceKey::new(&[0xff; NAME_BYTES_MAX]).expect("as long as a name may be")
}
