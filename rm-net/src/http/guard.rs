//! Who may ask.
//!
//! Whoever reaches the address may read: it is on loopback unless `rmd` was told `--insecure`. But a browser of this
//! machine reaches it too, and runs the pages of strangers. Three things keep those out:
//!
//! - **Names.** A page can be served under a name that its owner then points at 127.0.0.1 (DNS rebinding). It would call this
//!   server by that name. On loopback only the names of loopback are answered.
//! - **Origin.** What changes something is refused if a page of another origin sent it, and if it does not come from this
//!   machine.
//! - **No permission.** No answer allows other origins to read it, and the page runs no script but its own.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, StatusCode};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) error: &'static str,
    pub(super) hint: &'static str,
}

/// What every answer says: the page takes nothing from elsewhere, and nothing elsewhere takes from it.
pub(super) const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Whether a request to `local` from `peer` may be answered.
pub(super) fn check(
    method: &Method,
    headers: &HeaderMap,
    local: SocketAddr,
    peer: SocketAddr,
) -> Result<(), Refused> {
    let is_reading = matches!(*method, Method::GET | Method::HEAD);
    if !is_reading && !is_here(peer.ip()) {
        return Err(Refused {
            status: StatusCode::FORBIDDEN,
            error: "only this machine may change something",
            hint: "send the request on the machine where rmd runs",
        });
    }
    let mut hosts = headers.get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    let Some(host) = host
        .filter(|_| more.is_none())
        .and_then(|host| host.to_str().ok())
    else {
        return Err(Refused {
            status: StatusCode::BAD_REQUEST,
            error: "the request has no Host header, or several",
            hint: "send one, with the address that was connected to",
        });
    };
    if (is_here(local.ip()) || !is_reading) && !is_name_of_loopback(host) {
        return Err(Refused {
            status: StatusCode::MISDIRECTED_REQUEST,
            error: "the Host header is no name of this machine's loopback",
            hint: "use http://127.0.0.1, http://[::1] or http://localhost, with the port",
        });
    }
    if !is_reading && !is_own_origin(headers, host) {
        return Err(Refused {
            status: StatusCode::FORBIDDEN,
            error: "a page of another origin sent this",
            hint: "send the request with a tool such as curl, without an Origin header",
        });
    }
    Ok(())
}

fn is_here(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Whether a host, with or without a port, is loopback by number or by its usual name.
fn is_name_of_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => {
            if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
                return false;
            }
            name
        }
        _ => host,
    };
    let number = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    match number {
        Some(six) => six
            .parse::<std::net::Ipv6Addr>()
            .is_ok_and(|ip| is_here(ip.into())),
        None => {
            let is_number = name.parse::<std::net::Ipv4Addr>();
            is_number.map_or(name.eq_ignore_ascii_case("localhost"), |ip| {
                is_here(ip.into())
            })
        }
    }
}

/// Whether no page sent it, or one that came from here.
fn is_own_origin(headers: &HeaderMap, host: &str) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let is_own = |origin: &HeaderValue| {
        let origin = origin
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix("http://"));
        origin == Some(host)
    };
    let site = headers.get("sec-fetch-site");
    let is_elsewhere = site.is_some_and(|site| site != "same-origin" && site != "none");
    !is_elsewhere && origins.all(is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "127.0.0.1:7680";
    const PUBLIC: &str = "0.0.0.0:7680";
    const FAR: &str = "192.0.2.7:4000";

    fn status(method: &Method, local: &str, peer: &str, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let checked = check(method, &map, local.parse().unwrap(), peer.parse().unwrap());
        checked.map_or_else(|refused| refused.status.as_u16(), |()| 200)
    }

    #[test]
    fn on_loopback_only_names_of_loopback_are_answered() {
        let get = |host: &str| status(&Method::GET, LOCAL, LOCAL, &[("host", host)]);
        for good in [
            "127.0.0.1:7680",
            "localhost",
            "LocalHost:1",
            "[::1]:7680",
            "127.9.9.9",
            "[::ffff:127.0.0.1]",
        ] {
            assert_eq!(get(good), 200, "{good}");
        }
        for bad in [
            "evil.example:7680",
            "192.0.2.1",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            ":80",
            "localhost:",
            "localhost:x",
            "a@localhost:1",
            "[::2]",
        ] {
            assert_eq!(get(bad), 421, "{bad}");
        }
        assert_eq!(status(&Method::GET, LOCAL, LOCAL, &[]), 400);
        let two = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(status(&Method::GET, LOCAL, LOCAL, &two), 400);
    }

    #[test]
    fn beyond_loopback_everybody_reads_under_any_name_and_only_this_machine_writes() {
        let host = [("host", "rm-1.example:7680")];
        assert_eq!(status(&Method::GET, PUBLIC, FAR, &host), 200);
        assert_eq!(status(&Method::PUT, PUBLIC, FAR, &host), 403);
        assert_eq!(status(&Method::PUT, PUBLIC, LOCAL, &host), 421);
        let here = [("host", "127.0.0.1:7680")];
        assert_eq!(status(&Method::PUT, PUBLIC, LOCAL, &here), 200);
    }

    #[test]
    fn a_page_of_another_origin_changes_nothing() {
        let put = |more: (&'static str, &str)| {
            status(
                &Method::PUT,
                LOCAL,
                LOCAL,
                &[("host", "127.0.0.1:7680"), more],
            )
        };
        assert_eq!(put(("accept", "*/*")), 200);
        assert_eq!(put(("origin", "http://127.0.0.1:7680")), 200);
        assert_eq!(put(("origin", "http://127.0.0.1:80")), 403);
        assert_eq!(put(("origin", "https://evil.example")), 403);
        assert_eq!(put(("origin", "null")), 403);
        assert_eq!(put(("sec-fetch-site", "cross-site")), 403);
        assert_eq!(put(("sec-fetch-site", "same-origin")), 200);
    }
}
