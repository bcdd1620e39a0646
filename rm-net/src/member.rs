//! A member of a cluster: a lender that the view makes the root of its share, and a borrower that uses the resources of
//! all.
//!
//! ```text
//! coordinator ── state ──> Member ──> the present Life: lender, its domain, its server
//!                            │            ↑ accepts sessions, is told of reports
//!                            └──> Roster: the borrower's sessions, the own lender's included
//! ```
//!
//! The two parts fail apart. When the lender is evicted its books are gone: its life ends, and the coordinator
//! registers the node anew, which begins another. The borrower keeps what it has, and claims it from the next roots.
//!
//! **Invariants.** A life has one registration, and adopts only views that have it. At and past the end of its membership
//! it answers no renewal and lends nothing, whatever its tasks do: each use asks the clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rm_core::cluster::{Adopted, Lender};
use rm_core::front::{Domain, DomainSettings, Role};
use rm_core::id::NodeId;
use rm_core::owner::Settings;
use rm_core::session::{CreditorConfig, LeaseTerms, Window};
use rm_core::time::Time;
use rm_core::view::{RootId, View};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::coordinator::{Departure, EtcdHandle, State};
use crate::house;
use crate::hub::Hub;
use crate::roster::Roster;
use crate::server::{Limits, Place, Server};
use crate::store::Anchor;
use crate::types::Types;

/// What is not told is looked at this often.
const LOOK: Duration = Duration::from_millis(500);

/// How the lives of a lender are made.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) terms: LeaseTerms,
    pub(crate) types: Types,
    pub(crate) window: Window,
    pub(crate) resources_max: Option<usize>,
    pub(crate) session_resources_max: Option<usize>,
    pub(crate) value_bytes_max: Option<usize>,
    pub(crate) try_limit: Duration,
    pub(crate) limits: Limits,
    /// What coordinates the cluster, for people.
    pub(crate) coordinator: String,
    /// The data directory: whoever has it knows that its former process is dead.
    pub(crate) anchor: Option<Arc<Anchor>>,
}

/// One registration of the lender.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    me: RootId,
    /// Nobody else keeps it alive.
    pub(crate) domain: Domain,
    pub(crate) server: Arc<Server>,
}

/// A node as a member of a cluster.
#[derive(Debug)]
pub(crate) struct Member {
    plan: Plan,
    roster: Arc<Roster>,
    coordinator: EtcdHandle,
    states: watch::Receiver<State>,
    life: Mutex<Option<Life>>,
}

impl Member {
    pub(crate) fn new(
        plan: Plan,
        roster: Arc<Roster>,
        coordinator: EtcdHandle,
        states: watch::Receiver<State>,
    ) -> Arc<Self> {
        Arc::new(Self {
            plan,
            roster,
            coordinator,
            states,
            life: Mutex::new(None),
        })
    }

    /// The present life of the lender, while it is registered.
    pub(crate) fn life(&self) -> Option<Life> {
        let life = self.life.lock();
        life.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who accepts sessions at present.
    pub(crate) fn server(&self) -> Option<Arc<Server>> {
        self.life().map(|life| life.server)
    }

    /// Follows the coordinator until the borrower is told to stop.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut states = self.states.clone();
        let stopping = self.roster.hub().stopping.clone();
        states.mark_changed();
        let mut heard = self.roster.newest();
        let mut looked = Instant::now();
        loop {
            tokio::select! {
                changed = states.changed() => if changed.is_err() { break },
                // Another member may know of a view before the coordinator tells this one.
                changed = heard.changed() => if changed.is_err() { break },
                () = tokio::time::sleep(LOOK) => {}
                () = stopping.cancelled() => break,
            }
            let mut state = states.borrow_and_update().clone();
            let newest = heard.borrow_and_update().clone();
            state.view = newer(state.view, newest);
            self.follow(&state);
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look_after(&state).await;
            }
        }
        self.end_life();
    }

    /// Does what a state of the coordinator says.
    fn follow(&self, state: &State) {
        let present = self.life();
        if present.as_ref().map(|life| life.me.reg) != state.reg {
            self.end_life();
            if let Some(reg) = state.reg {
                self.begin_life(reg);
            }
        }
        let Some(life) = self.life() else {
            state
                .view
                .iter()
                .for_each(|view| self.roster.on_view(Arc::clone(view)));
            return;
        };
        life.server
            .on_good_until(state.good_until.unwrap_or(Time::ZERO));
        if let Some(view) = &state.view {
            let was_member = life.server.view().is_some();
            if (was_member || view.has(life.me)) && life.server.adopt(view) == Adopted::Evicted {
                tracing::warn!(%view, "evicted: this node's books are gone, and it registers anew");
                self.end_life();
            }
            // After the lender: whoever is told of a view by its root finds that it has adopted it.
            self.roster.on_view(Arc::clone(view));
        }
    }

    /// What nobody tells: numbers that run out, and a former life of which this process knows that it is dead.
    async fn look_after(&self, state: &State) {
        if self.life().is_some_and(|life| life.domain.needs_epoch()) {
            self.coordinator.new_epoch().await;
        }
        let anchor = self.plan.anchor.as_ref();
        if let (Some(anchor), Some(former)) = (anchor, state.waits_for)
            && anchor.proves_death_of(former)
        {
            self.coordinator.proof_of_death(former).await;
        }
    }

    fn begin_life(&self, reg: u64) {
        let plan = &self.plan;
        let me = RootId {
            node: NodeId::of_name(plan.name.as_bytes()),
            reg,
        };
        let hub = Hub::with_desk(&plan.name, Arc::clone(&self.roster.hub().desk));
        let owner = Settings::default().with_party(hub.party, &plan.name);
        let mut settings = DomainSettings::new(&plan.name, owner.with_try_limit(plan.try_limit));
        settings.resources_max = plan.resources_max.unwrap_or(settings.resources_max);
        settings.debtor_resources_max = plan
            .session_resources_max
            .unwrap_or(settings.debtor_resources_max);
        let owner = &mut settings.owner;
        owner.value_bytes_max = plan.value_bytes_max.unwrap_or(owner.value_bytes_max);
        let role = Role::Root {
            epoch: 0,
            grace: false,
        };
        let host: Arc<Hub> = Arc::clone(&hub);
        let domain = plan.types.equip(Domain::new(settings, role, host));
        hub.serve(&domain);
        let config = CreditorConfig {
            name: plan.name.clone().into_bytes(),
            boot: hub.party.boot,
            reg,
            terms: plan.terms,
            claimed: plan.terms.length(),
            window: plan.window,
        };
        let place = Place::Member {
            lender: Lender::new(me, &domain),
            coordinator: plan.coordinator.clone(),
        };
        let server = Server::new(Arc::clone(&hub), config, place, plan.limits);
        // Not before the coordinator says so.
        server.on_good_until(Time::ZERO);
        tokio::spawn(Arc::clone(&server).run_lender());
        let keeper = Arc::clone(&server);
        tokio::spawn(house::keep(hub, move || keeper.now_and_then()));
        self.roster.set_lender(Some(Arc::clone(&server)));
        let life = Life { me, domain, server };
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) = Some(life);
        tracing::info!(reg, "registered");
        if let Some(anchor) = self.plan.anchor.clone() {
            tokio::task::spawn_blocking(move || {
                if let Err(error) = anchor.note(reg) {
                    tracing::warn!(%error, "cannot write to the data directory: after a crash the others will wait for this node's silence");
                }
            });
        }
    }

    fn end_life(&self) {
        let life = self
            .life
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(life) = life {
            self.roster.set_lender(None);
            life.domain.shut_down();
            life.server.end();
        }
    }

    /// Hands over what this node is the root of, and leaves, within that time. Returns whether all of it was taken over
    /// and every view is without it.
    pub(crate) async fn leave(&self, within: Duration) -> bool {
        let left = async {
            self.coordinator.drain().await;
            while !self.is_relieved() {
                tokio::time::sleep(LOOK / 25).await;
            }
            self.coordinator.leave().await == Departure::Told
        };
        tokio::time::timeout(within, left).await.unwrap_or(false)
    }

    /// Gives up its membership at once: the others need not find out by its silence.
    pub(crate) async fn resign(&self, within: Duration) {
        let _ = tokio::time::timeout(within, self.coordinator.leave()).await;
    }

    /// Whether it is the root of nothing any more, and others have taken over what it was.
    fn is_relieved(&self) -> bool {
        let is_leaving = |view: &Arc<View>, me: RootId| {
            let member = view.member(me);
            member.is_some_and(|member| member.state == rm_core::view::MemberState::Leaving)
        };
        let Some(life) = self.life() else {
            return true;
        };
        let view = life.server.view();
        let is_alone = view.as_ref().is_some_and(|view| view.members().len() == 1);
        view.is_some_and(|view| is_leaving(&view, life.me))
            && (is_alone || life.server.is_relieved())
    }
}

/// The newer of two views.
fn newer(one: Option<Arc<View>>, other: Option<Arc<View>>) -> Option<Arc<View>> {
    let epoch = |view: &Arc<View>| view.epoch();
    one.into_iter().chain(other).max_by_key(epoch)
}
