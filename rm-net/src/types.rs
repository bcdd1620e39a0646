//! The resource types that a node or a client knows.
//!
//! Nodes need not know the same ones: a want of a type that its creditor does not know is refused, and says so.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;

use rm_core::front::Domain;
use rm_core::id::TypeId;
use rm_core::resource::ResourceType;
use rm_rwlock::RwLockType;
use rm_types::{ByteRangeType, IdRangeType, SemaphoreType, SequenceType};

type Register = Arc<dyn Fn(Domain) -> Domain + Send + Sync>;

/// A list of resource types, each to be registered with a domain.
#[derive(Clone)]
pub(crate) struct Types {
    by_id: BTreeMap<TypeId, (&'static str, Register)>,
}

impl Types {
    /// One more.
    ///
    /// # Panics
    /// If there is one of that number already.
    pub(crate) fn register<T: ResourceType>(&mut self, resource_type: T) {
        let register: Register = Arc::new(move |domain| domain.with_type(resource_type.clone()));
        let former = self.by_id.insert(T::ID, (T::NAME, register));
        if let Some((former, _)) = former {
            panic!(
                "the resource types {former} and {} have the same number, {}",
                T::NAME,
                T::ID.0
            );
        }
    }

    /// What they are called.
    #[cfg(feature = "cli")]
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.by_id.values().map(|(name, _)| *name)
    }

    /// The number of the one of that name.
    #[cfg(feature = "cli")]
    pub(crate) fn id_of(&self, name: &str) -> Option<TypeId> {
        let mut all = self.by_id.iter();
        all.find(|(_, (known, _))| *known == name)
            .map(|(id, _)| *id)
    }

    /// The domain with all of them.
    pub(crate) fn equip(&self, domain: Domain) -> Domain {
        let register = self.by_id.values();
        register.fold(domain, |domain, (_, register)| register(domain))
    }
}

impl Default for Types {
    /// Those that this project brings.
    fn default() -> Self {
        let mut types = Self {
            by_id: BTreeMap::new(),
        };
        types.register(RwLockType::default());
        types.register(SemaphoreType::default());
        types.register(ByteRangeType::default());
        types.register(IdRangeType::default());
        types.register(SequenceType::default());
        types
    }
}

impl fmt::Debug for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.by_id.iter().map(|(id, (name, _))| (id.0, name));
        f.debug_map().entries(names).finish()
    }
}
