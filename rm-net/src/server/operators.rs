//! What a server tells operators of its cluster and of its machine.

use std::path::Path;
use std::time::Duration;

use rm_core::cluster::Lender;
use rm_core::front::Host as _;
use rm_core::inspect::{CoordinatorView, DataDirView, HealthView, MembersView, NodeRole, Standing};
use rm_core::session::packet::WIRE_VERSION;
use rm_core::time::Time;
use rm_core::view::{MemberState, RootId, View};
use rustix::process::{Resource, getrlimit};

use super::{SESSIONS_MAX, Server};
use crate::clock::{BootClock, CLOCK_NAME, COUNTS_SUSPEND, stamp_now};

impl Server {
    /// The cluster as this node sees it.
    pub(super) fn members(&self) -> MembersView {
        let now = self.hub.now();
        let coordinator = self.hub.desk.coordinator();
        let mut members = MembersView {
            node: self.hub.name.clone(),
            reg: self.config.reg,
            role: self.role,
            creditor: self.creditor.clone().unwrap_or_default(),
            coordinator: coordinator.unwrap_or_else(|| CoordinatorView {
                kind: self.coordinator.clone(),
                is_connected: true,
                ..CoordinatorView::default()
            }),
            ..MembersView::default()
        };
        match self.lender() {
            Some(lender) => {
                members.standing = standing(&lender, now);
                members.view = lender.view().cloned();
                let view = members.view.as_deref();
                let missing = lender.missing();
                members.missing = missing.map(|id| name_in(view, id)).collect();
                let good_for = Some(lender.good_until().since(now));
                members.good_for = good_for.filter(|_| self.role == NodeRole::Member);
                members.grace = lender.grace(now);
            }
            None => {
                let domain = self.hub.domain();
                members.good_for = domain.and_then(|domain| domain.trusted_for());
                members.coordinator.is_connected = members.good_for != Some(Duration::ZERO);
                if !members.coordinator.is_connected {
                    members.standing = Standing::Suspended;
                }
            }
        }
        if self.hub.desk.is_draining() || self.hub.stopping.is_cancelled() {
            members.standing = Standing::Leaving;
        }
        members
    }

    /// What this node knows of its own machine. The disk may be slow, so a blocking task looks.
    pub(super) async fn health(&self) -> HealthView {
        let data_dir = self.data_dir.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let data_dir = data_dir.as_deref().map(look_at);
            (data_dir, open_files())
        });
        let (data_dir, files) = looked.await.unwrap_or_default();
        let (rules, anonymous) = self.rules_in_words();
        HealthView {
            node: self.hub.name.clone(),
            software: env!("CARGO_PKG_VERSION").into(),
            wire: WIRE_VERSION,
            wall_nanos: stamp_now().as_nanos(),
            clock_nanos: BootClock::new().now().as_nanos(),
            clock: CLOCK_NAME.into(),
            counts_suspend: COUNTS_SUSPEND,
            is_secured: self.hub.desk.knows_callers(),
            rules,
            anonymous,
            files,
            files_max: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            sessions_max: u32::try_from(SESSIONS_MAX).unwrap_or(u32::MAX),
            data_dir,
        }
    }
}

fn standing(lender: &Lender, now: Time) -> Standing {
    let member = lender.view().map(|view| view.member(lender.id()));
    match member.map(|member| member.map(|member| member.state)) {
        None | Some(None) => Standing::Outside,
        Some(Some(_)) if now >= lender.good_until() => Standing::Suspended,
        Some(Some(_)) if !lender.is_active() => Standing::Gathering,
        Some(Some(MemberState::Leaving)) => Standing::Leaving,
        Some(Some(MemberState::Full)) => Standing::Active,
    }
}

fn name_in(view: Option<&View>, id: RootId) -> String {
    let member = view.and_then(|view| view.member(id));
    member.map_or_else(
        || id.to_string(),
        |member| String::from_utf8_lossy(&member.name).into_owned(),
    )
}

/// What can be told of a directory without writing to it.
fn look_at(dir: &Path) -> DataDirView {
    use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

    let path = dir.display().to_string();
    let refused = |error: String| DataDirView {
        path: path.clone(),
        free_bytes: 0,
        error,
    };
    match statvfs(dir) {
        Ok(volume) if volume.f_flag.contains(StatVfsMountFlags::RDONLY) => {
            refused("the file system is mounted read-only".into())
        }
        Ok(volume) => DataDirView {
            free_bytes: volume.f_bavail.saturating_mul(volume.f_frsize),
            error: access(dir, Access::WRITE_OK)
                .map_or_else(|why| why.to_string(), |()| String::new()),
            path,
        },
        Err(why) => refused(why.to_string()),
    }
}

/// How many files and connections this process has open; 0 where the system does not tell.
fn open_files() -> u64 {
    let open = std::fs::read_dir("/proc/self/fd").map(Iterator::count);
    open.map_or(0, |count| count as u64)
}
