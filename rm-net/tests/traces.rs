//! Trace contexts between clients over real sockets, and what becomes of them in OpenTelemetry.
//!
//! One test, because a process has one source of trace contexts.

mod common;

use std::time::Duration;

use opentelemetry::trace::{SpanContext, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use rm_core::front::trace::set_source;
use rm_net::telemetry::{OpenTelemetry, trace_context};
use rm_rwlock::AcquireError;
use tracing::Instrument as _;
use tracing_subscriber::layer::SubscriberExt as _;

use self::common::{Cluster, within};

/// The finished span of that name with that label.
fn finished(exporter: &InMemorySpanExporter, name: &str, label: &str) -> Option<SpanData> {
    let spans = exporter.get_finished_spans().expect("it exports");
    spans.into_iter().find(|span| {
        let mut attributes = span.attributes.iter();
        span.name == name
            && (label.is_empty()
                || attributes.any(|one| one.key.as_str() == "label" && one.value.as_str() == label))
    })
}

fn is_linked(span: &SpanData, to: &SpanContext) -> bool {
    let mut links = span.links.iter();
    links.any(|link| {
        let there = &link.span_context;
        (there.trace_id(), there.span_id()) == (to.trace_id(), to.span_id())
    })
}

// One thread: the subscriber is that thread's.
#[tokio::test]
async fn a_waiter_is_linked_to_its_holder_over_real_sockets_and_the_holder_learns_whose_trace_it_is()
 {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _listening = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    set_source(OpenTelemetry).expect("the first");
    assert!(set_source(OpenTelemetry).is_err(), "there is one source");

    let cluster = Cluster::new(Duration::from_secs(10)).await;
    let (one, two) = (cluster.client("one").await, cluster.client("two").await);
    let held = one.rw_lock("x");
    let writer = held.write().label("resize");
    let writer = writer
        .into_future()
        .instrument(tracing::info_span!("holds"));
    let writer = within("granted", writer).await.expect("free");
    let holding = finished(&exporter, "lock.acquire", "resize").expect("it is over");

    let wanted = two.rw_lock("x");
    let busy = within("denied", wanted.try_write().into_future())
        .await
        .expect_err("held");
    let AcquireError::Busy { holders } = busy else {
        panic!("{busy}");
    };
    assert_eq!(holders[0].trace, trace_context(&holding.span_context));

    let waiting = async { wanted.write().label("move").await };
    let waiting = waiting.instrument(tracing::info_span!("waits"));
    let let_go = async {
        let waiter = writer.wanted().await.expect("valid");
        drop(writer);
        waiter
    };
    let both = async { tokio::join!(waiting, let_go) };
    let (granted, waiter) = within("handed over", both).await;
    drop(granted.expect("free now"));

    let waited = finished(&exporter, "lock.acquire", "move").expect("it is over");
    assert_eq!(waiter.trace, trace_context(&waited.span_context));
    assert!(
        is_linked(&waited, &holding.span_context),
        "{:?}",
        waited.links
    );
    let caller = finished(&exporter, "waits", "").expect("it is over");
    assert_eq!(waited.parent_span_id, caller.span_context.span_id());
}
