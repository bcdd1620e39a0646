//! Which path is answered by whom. What is not understood is refused in a sentence, as JSON.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::metrics::Metrics;
use super::{BODY_BYTES_MAX, House, REQUEST_TIME, answers, guard};
use crate::cli::output::json;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// The format that Prometheus reads.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page and what it is made of: path, type, content.
const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("page.html")),
    (
        "/page.css",
        "text/css; charset=utf-8",
        include_str!("page.css"),
    ),
    (
        "/page.js",
        "text/javascript; charset=utf-8",
        include_str!("page.js"),
    ),
    ("/icon.svg", "image/svg+xml", include_str!("icon.svg")),
];

/// An answer before it is one of HTTP.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
}

/// What is wrong with a request, and what to do about it.
#[derive(Serialize)]
struct Complaint<'a> {
    error: &'a str,
    hint: &'a str,
}

impl Reply {
    pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type: TEXT,
            body: text.into(),
        }
    }

    pub(super) fn metrics(text: String) -> Self {
        Self {
            content_type: EXPOSITION,
            ..Self::text(StatusCode::OK, text)
        }
    }

    pub(super) fn json<T: Serialize>(status: StatusCode, object: &T) -> Self {
        Self {
            content_type: JSON,
            ..Self::text(status, json(object) + "\n")
        }
    }

    pub(super) fn refuse(status: StatusCode, error: &str, hint: &str) -> Self {
        Self::json(status, &Complaint { error, hint })
    }
}

/// The answer to a request, in time. Cancel safe: nothing but the log filter changes, and that at once.
pub(super) async fn answer(
    house: &Arc<House>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let is_head = request.method() == Method::HEAD;
    let reply = tokio::time::timeout(REQUEST_TIME, route(house, peer, request)).await;
    let reply = reply.unwrap_or_else(|_| {
        let error = "the answer was not ready in time";
        Reply::refuse(StatusCode::SERVICE_UNAVAILABLE, error, "try again later")
    });
    Metrics::count_answer(reply.status.as_u16());
    let body = if is_head { Bytes::new() } else { reply.body };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.extend(guard::HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    match reply.status {
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, PUT"));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}

async fn route(house: &Arc<House>, peer: SocketAddr, request: Request<Incoming>) -> Reply {
    if let Err(refused) = guard::check(request.method(), request.headers(), house.address, peer) {
        return Reply::refuse(refused.status, refused.error, refused.hint);
    }
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let is_reading = matches!(head.method, Method::GET | Method::HEAD);
    if head.method == Method::PUT && path == "/log" {
        if house.node.has_rules() {
            return Reply::refuse(
                StatusCode::FORBIDDEN,
                "this server has rules, and HTTP does not tell who asks",
                "set the log filter in the file of settings, or with RM_LOG, and start it again",
            );
        }
        return match Limited::new(body, BODY_BYTES_MAX).collect().await {
            Ok(body) => answers::change_log(house, &body.to_bytes()),
            Err(_) => Reply::refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is too long, or did not come whole",
                "send a log filter such as info,rm_net=debug",
            ),
        };
    }
    if !is_reading {
        return Reply::refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            "this can only be read",
            "send GET; what can be changed is /log, with PUT",
        );
    }
    if let Some((_, content_type, text)) = FILES.iter().find(|(file, _, _)| *file == path) {
        return Reply {
            content_type,
            ..Reply::text(StatusCode::OK, *text)
        };
    }
    match path {
        "/healthz" => answers::health(house).await,
        "/readyz" => answers::readiness(house).await,
        "/metrics" => answers::metrics(house).await,
        "/status" => answers::status(house).await,
        "/resources" => answers::resources(house, head.uri.query()).await,
        "/resource" => answers::resource(house, head.uri.query()).await,
        "/log" => Reply::text(StatusCode::OK, house.logs.filter() + "\n"),
        _ => Reply::refuse(
            StatusCode::NOT_FOUND,
            "there is nothing here",
            "there are: /, /metrics, /status, /resources, /resource, /healthz, /readyz, /log",
        ),
    }
}
