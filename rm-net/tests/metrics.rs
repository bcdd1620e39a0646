//! What a Prometheus recorder has after some use of locks: every metric, under its name.
//!
//! One test, because a process has one recorder.

#![cfg(feature = "metrics")]

mod common;

use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rm_net::telemetry::{describe, names};

use self::common::{Cluster, until, within};

/// The value of a series as Prometheus reads it.
fn value(handle: &PrometheusHandle, series: &str) -> Option<f64> {
    let text = handle.render();
    let line = text.lines().find_map(|line| line.strip_prefix(series))?;
    line.trim().parse().ok()
}

#[tokio::test]
async fn each_metric_is_recorded_under_its_name() {
    let builder = PrometheusBuilder::new()
        .set_buckets(&names::BUCKETS_SECONDS)
        .expect("there are some");
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).expect("the only one");
    describe();

    let cluster = Cluster::new(Duration::from_secs(10)).await;
    let (one, two) = (cluster.client("one").await, cluster.client("two").await);
    let (mine, theirs) = (one.rw_lock("x"), two.rw_lock("x"));
    let writer = within("granted", mine.write().into_future())
        .await
        .expect("free");
    let busy = within("denied", theirs.try_write().into_future()).await;
    drop(busy.expect_err("held"));
    let mut waiting = Box::pin(theirs.write().into_future());
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("held by another"),
        _ = writer.wanted() => {}
    }
    one.publish_metrics();
    let oldest = "rm_lock_oldest_hold_seconds{type=\"rw-lock\"}";
    assert!(value(&handle, oldest).is_some_and(|age| age > 0.0));
    drop(writer);
    drop(within("handed over", waiting).await.expect("free now"));
    drop(
        within("cached", theirs.read().into_future())
            .await
            .expect("free"),
    );
    let mut dropped = Box::pin(mine.write().into_future());
    let reader = within("cached", theirs.read().into_future())
        .await
        .expect("free");
    tokio::select! {
        biased;
        _ = &mut dropped => panic!("held by another"),
        _ = reader.wanted() => {}
    }
    drop(dropped);
    drop(reader);

    let of = |outcome: &str| {
        let labels = format!("type=\"rw-lock\",mode=\"write\",outcome=\"{outcome}\"");
        value(&handle, &format!("rm_lock_requests_total{{{labels}}}"))
    };
    assert_eq!((of("granted"), of("busy")), (Some(2.0), Some(1.0)));
    assert_eq!(of("cancelled"), Some(1.0));
    let of_write = |name: &str| {
        let series = format!("{name}_count{{type=\"rw-lock\",mode=\"write\"}}");
        value(&handle, &series)
    };
    assert_eq!(of_write("rm_lock_wait_seconds"), Some(2.0));
    assert_eq!(of_write("rm_lock_hold_seconds"), Some(2.0));

    until("all is recorded", || {
        one.publish_metrics();
        two.publish_metrics();
        cluster.server.publish_metrics();
        let sent = value(&handle, "rm_recalls_sent_total");
        sent.is_some_and(|sent| sent >= 2.0)
    })
    .await;
    let cached = value(&handle, "rm_lock_cached_acquires_total{type=\"rw-lock\"}");
    assert_eq!(cached, Some(2.0));
    assert!(value(&handle, "rm_recalls_received_total").is_some_and(|count| count >= 2.0));
    assert_eq!(value(&handle, "rm_sessions"), Some(2.0), "of the server");
    let text = handle.render();
    for metric in names::ALL {
        assert!(
            text.contains(metric.name),
            "never recorded: {}",
            metric.name
        );
        assert!(text.contains(&format!("# HELP {} {}", metric.name, metric.help)));
    }
}
