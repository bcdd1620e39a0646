//! The question what goes on at a node, and its answer, in both directions.

use rm_core::id::TypeId;
use rm_core::inspect::{HotResource, LongWait, Query, TopView};

use super::WireError;
use super::generated as pb;
use super::limits::{self, NAME_BYTES_MAX, TOP_MAX};
use super::{incoming, outgoing};

pub(super) fn query_out(prefix: &[u8], limit: u32) -> Result<pb::TopQuery, WireError> {
    limits::length("TopQuery.prefix", prefix.len(), 0, NAME_BYTES_MAX)?;
    Ok(pb::TopQuery {
        prefix: outgoing::bytes(prefix),
        limit,
    })
}

pub(super) fn query_in(query: &pb::TopQuery) -> Result<Query, WireError> {
    limits::length("TopQuery.prefix", query.prefix.len(), 0, NAME_BYTES_MAX)?;
    Ok(Query::Top {
        prefix: query.prefix.to_vec(),
        limit: query.limit,
    })
}

pub(super) fn top_out(view: &TopView) -> Result<pb::TopAnswer, WireError> {
    limits::count("TopAnswer.hot", view.hot.len(), TOP_MAX as usize)?;
    limits::count("TopAnswer.waits", view.waits.len(), TOP_MAX as usize)?;
    Ok(pb::TopAnswer {
        node: outgoing::text(&view.node),
        uptime_nanos: outgoing::span(view.uptime),
        hot: view.hot.iter().map(hot_out).collect(),
        waits: view.waits.iter().map(wait_out).collect(),
        omitted: view.omitted,
    })
}

pub(super) fn top_in(view: pb::TopAnswer) -> Result<TopView, WireError> {
    Ok(TopView {
        node: incoming::text("TopAnswer.node", view.node)?,
        uptime: incoming::span("TopAnswer.uptime", view.uptime_nanos)?,
        hot: view.hot.into_iter().map(hot_in).collect::<Result<_, _>>()?,
        waits: view
            .waits
            .into_iter()
            .map(wait_in)
            .collect::<Result<_, _>>()?,
        omitted: view.omitted,
    })
}

fn hot_out(hot: &HotResource) -> pb::HotResource {
    pb::HotResource {
        type_id: hot.type_id.0,
        type_name: outgoing::text(&hot.type_name),
        key: outgoing::bytes(hot.key.as_bytes()),
        grants: hot.grants,
        recalls: hot.recalls,
        uncertain: hot.uncertain,
    }
}

fn hot_in(hot: pb::HotResource) -> Result<HotResource, WireError> {
    Ok(HotResource {
        type_id: TypeId(hot.type_id),
        type_name: incoming::text("HotResource.type_name", hot.type_name)?,
        key: incoming::key("HotResource.key", &hot.key)?,
        grants: hot.grants,
        recalls: hot.recalls,
        uncertain: hot.uncertain,
    })
}

fn wait_out(wait: &LongWait) -> pb::LongWait {
    pb::LongWait {
        type_id: wait.type_id.0,
        type_name: outgoing::text(&wait.type_name),
        key: outgoing::bytes(wait.key.as_bytes()),
        node: outgoing::text(&wait.node),
        via: outgoing::text(&wait.via),
        mode: outgoing::text(&wait.mode),
        label: outgoing::text(&wait.label),
        age_nanos: outgoing::span(wait.age),
        order: outgoing::order(&wait.order),
    }
}

fn wait_in(wait: pb::LongWait) -> Result<LongWait, WireError> {
    Ok(LongWait {
        type_id: TypeId(wait.type_id),
        type_name: incoming::text("LongWait.type_name", wait.type_name)?,
        key: incoming::key("LongWait.key", &wait.key)?,
        node: incoming::text("LongWait.node", wait.node)?,
        via: incoming::text("LongWait.via", wait.via)?,
        mode: incoming::text("LongWait.mode", wait.mode)?,
        label: incoming::text("LongWait.label", wait.label)?,
        age: incoming::span("LongWait.age", wait.age_nanos)?,
        order: incoming::order("LongWait.order", wait.order)?,
    })
}
