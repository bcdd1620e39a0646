//! What a node says of its cluster and of its machine, in both directions.

use rm_core::inspect::{
    CoordinatorView, DataDirView, HealthView, MembersView, NodeRole, Standing, WARNINGS_MAX,
};
use rm_core::view::{ADDRESS_BYTES_MAX, MEMBERS_MAX};

use super::WireError;
use super::generated as pb;
use super::limits;
use super::{cluster, incoming, outgoing};

pub(super) fn members_out(view: &MembersView) -> Result<pb::MembersAnswer, WireError> {
    limits::count("MembersAnswer.missing", view.missing.len(), MEMBERS_MAX)?;
    Ok(pb::MembersAnswer {
        node: outgoing::text(&view.node),
        reg: view.reg,
        role: role_out(view.role),
        standing: standing_out(view.standing),
        view: view.view.as_deref().map(cluster::view_out),
        missing: view
            .missing
            .iter()
            .map(|name| outgoing::text(name))
            .collect(),
        good_for_nanos: view.good_for.map(outgoing::span),
        coordinator: Some(coordinator_out(&view.coordinator)?),
        grace_nanos: outgoing::span(view.grace),
    })
}

pub(super) fn members_in(view: pb::MembersAnswer) -> Result<MembersView, WireError> {
    let missing = |name| incoming::text("MembersAnswer.missing", name);
    let span = |nanos| incoming::span("MembersAnswer.good_for", nanos);
    Ok(MembersView {
        node: incoming::text("MembersAnswer.node", view.node)?,
        reg: view.reg,
        role: role_in("MembersAnswer.role", view.role)?,
        standing: standing_in("MembersAnswer.standing", view.standing)?,
        view: view.view.map(cluster::view_in).transpose()?,
        missing: view
            .missing
            .into_iter()
            .map(missing)
            .collect::<Result<_, _>>()?,
        good_for: view.good_for_nanos.map(span).transpose()?,
        coordinator: coordinator_in(incoming::required(
            "MembersAnswer.coordinator",
            view.coordinator,
        )?)?,
        grace: incoming::span("MembersAnswer.grace", view.grace_nanos)?,
    })
}

/// Where a node is: 1 to 255 bytes.
pub(super) const fn address(field: &'static str, address: &str) -> Result<(), WireError> {
    limits::length(field, address.len(), 1, ADDRESS_BYTES_MAX)
}

fn coordinator_out(view: &CoordinatorView) -> Result<pb::CoordinatorState, WireError> {
    limits::count(
        "CoordinatorState.warnings",
        view.warnings.len(),
        WARNINGS_MAX,
    )?;
    Ok(pb::CoordinatorState {
        kind: outgoing::text(&view.kind),
        connected: view.is_connected,
        last_error: outgoing::text(&view.last_error),
        version: outgoing::text(&view.version),
        latency_nanos: outgoing::span(view.latency),
        warnings: view.warnings.iter().map(|it| outgoing::text(it)).collect(),
    })
}

fn coordinator_in(state: pb::CoordinatorState) -> Result<CoordinatorView, WireError> {
    let warning = |text| incoming::text("CoordinatorState.warnings", text);
    Ok(CoordinatorView {
        kind: incoming::text("CoordinatorState.kind", state.kind)?,
        is_connected: state.connected,
        last_error: incoming::text("CoordinatorState.last_error", state.last_error)?,
        version: incoming::text("CoordinatorState.version", state.version)?,
        latency: incoming::span("CoordinatorState.latency", state.latency_nanos)?,
        warnings: state
            .warnings
            .into_iter()
            .map(warning)
            .collect::<Result<_, _>>()?,
    })
}

pub(super) fn health_out(view: &HealthView) -> pb::HealthAnswer {
    let data_dir = |dir: &DataDirView| pb::DataDirState {
        path: outgoing::text(&dir.path),
        free_bytes: dir.free_bytes,
        error: outgoing::text(&dir.error),
    };
    pb::HealthAnswer {
        node: outgoing::text(&view.node),
        software: outgoing::text(&view.software),
        wire: view.wire,
        wall_nanos: view.wall_nanos,
        clock_nanos: view.clock_nanos,
        clock: outgoing::text(&view.clock),
        counts_suspend: view.counts_suspend,
        secured: view.is_secured,
        rules: view.rules,
        anonymous: outgoing::text(&view.anonymous),
        files: view.files,
        files_max: view.files_max,
        sessions_max: view.sessions_max,
        data_dir: view.data_dir.as_ref().map(data_dir),
    }
}

pub(super) fn health_in(answer: pb::HealthAnswer) -> Result<HealthView, WireError> {
    let data_dir = |dir: pb::DataDirState| {
        Ok(DataDirView {
            path: incoming::text("DataDirState.path", dir.path)?,
            free_bytes: dir.free_bytes,
            error: incoming::text("DataDirState.error", dir.error)?,
        })
    };
    Ok(HealthView {
        node: incoming::text("HealthAnswer.node", answer.node)?,
        software: incoming::text("HealthAnswer.software", answer.software)?,
        wire: answer.wire,
        wall_nanos: answer.wall_nanos,
        clock_nanos: answer.clock_nanos,
        clock: incoming::text("HealthAnswer.clock", answer.clock)?,
        counts_suspend: answer.counts_suspend,
        is_secured: answer.secured,
        rules: answer.rules,
        anonymous: incoming::text("HealthAnswer.anonymous", answer.anonymous)?,
        files: answer.files,
        files_max: answer.files_max,
        sessions_max: answer.sessions_max,
        data_dir: answer.data_dir.map(data_dir).transpose()?,
    })
}

pub(super) fn role_out(role: NodeRole) -> i32 {
    let role = match role {
        NodeRole::Standalone => pb::NodeRole::Standalone,
        NodeRole::Member => pb::NodeRole::Member,
        NodeRole::Relay => pb::NodeRole::Relay,
    };
    role.into()
}

pub(super) fn role_in(field: &'static str, value: i32) -> Result<NodeRole, WireError> {
    match pb::NodeRole::try_from(value) {
        // What there was before there were clusters.
        Ok(pb::NodeRole::Standalone | pb::NodeRole::Unspecified) => Ok(NodeRole::Standalone),
        Ok(pb::NodeRole::Member) => Ok(NodeRole::Member),
        Ok(pb::NodeRole::Relay) => Ok(NodeRole::Relay),
        Err(_) => Err(incoming::unknown(field, value)),
    }
}

pub(super) fn standing_out(standing: Standing) -> i32 {
    let standing = match standing {
        Standing::Active => pb::Standing::Active,
        Standing::Gathering => pb::Standing::Gathering,
        Standing::Suspended => pb::Standing::Suspended,
        Standing::Leaving => pb::Standing::Leaving,
        Standing::Outside => pb::Standing::Outside,
    };
    standing.into()
}

pub(super) fn standing_in(field: &'static str, value: i32) -> Result<Standing, WireError> {
    match pb::Standing::try_from(value) {
        // What there was before there were clusters.
        Ok(pb::Standing::Active | pb::Standing::Unspecified) => Ok(Standing::Active),
        Ok(pb::Standing::Gathering) => Ok(Standing::Gathering),
        Ok(pb::Standing::Suspended) => Ok(Standing::Suspended),
        Ok(pb::Standing::Leaving) => Ok(Standing::Leaving),
        Ok(pb::Standing::Outside) => Ok(Standing::Outside),
        Err(_) => Err(incoming::unknown(field, value)),
    }
}
