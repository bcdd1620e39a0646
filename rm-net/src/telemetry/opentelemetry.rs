//! The spans of requests in OpenTelemetry's terms, where the program has `tracing-opentelemetry`. Feature `opentelemetry`.

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use rm_core::front::trace::Source;
use rm_core::trace::TraceContext;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Takes the trace context of requests from `tracing-opentelemetry`, and links the span of a request that waited to the
/// span of the one that it waited for.
///
/// ```
/// # fn main() -> Result<(), rm_core::front::trace::AlreadySet> {
/// rm_core::front::trace::set_source(rm_net::telemetry::OpenTelemetry)
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing to set")]
pub struct OpenTelemetry;

impl Source for OpenTelemetry {
    fn current(&self) -> Option<TraceContext> {
        trace_context(Span::current().context().span().span_context())
    }

    fn link(&self, span: &Span, to: TraceContext) {
        span.add_link(SpanContext::new(
            TraceId::from(to.trace_id()),
            SpanId::from(to.span_id()),
            TraceFlags::new(to.flags()),
            true,
            TraceState::NONE,
        ));
    }
}

/// A span of OpenTelemetry's as requests carry it; `None` where it is none.
#[must_use]
pub fn trace_context(span: &SpanContext) -> Option<TraceContext> {
    let trace = u128::from_be_bytes(span.trace_id().to_bytes());
    let id = u64::from_be_bytes(span.span_id().to_bytes());
    TraceContext::new(trace, id, span.trace_flags().to_u8())
}
