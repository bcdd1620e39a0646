//! Who may do what.
//!
//! An [`Identity`] is what the transport proved of the other end of a connection. [`Rules`] say what it may do: to which
//! resources ([`Target`]), and how ([`Action`]). Both are data; who carries them out is the creditor of a session.
//!
//! ```
//! use rm_core::access::{Action, Identity, Rule, Rules, Target};
//! use rm_core::id::{ResourceKey, TypeId};
//!
//! let web = Rule::new(["spiffe://prod/web-*"], [Action::Write])?.names(["volumes/"])?;
//! let guest = Rule::new(["*"], [Action::Read, Action::Inspect])?;
//! let secret = Rule::new(["anonymous"], Action::ALL)?.names(["volumes/secret"])?;
//! let rules = Rules::new(vec![web, guest], vec![secret])?;
//!
//! let (nobody, key) = (Identity::anonymous(), ResourceKey::new(b"volumes/42")?);
//! let volume = Target::Resource(TypeId(1), &key);
//! assert!(rules.check(&nobody, Action::Read, volume).is_ok());
//! let why_not = rules.check(&nobody, Action::Write, volume).unwrap_err();
//! assert_eq!(why_not.to_string(), "no [[allow]] rule lets anonymous write");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod identity;
mod rules;

pub use identity::{BadIdentity, IDENTITY_BYTES_MAX, Identity};
pub use rules::{
    Access, Action, Allowance, BadRule, BadRules, ENTRIES_MAX, Forbidden, RULES_MAX, Rule, Rules,
    Target,
};
