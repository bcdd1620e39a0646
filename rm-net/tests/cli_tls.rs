//! TLS and Unix sockets by the flags of both programs, as real processes.
#![cfg(all(feature = "cli", feature = "tls"))]

#[allow(dead_code, reason = "a part of it is used")]
#[path = "common/pki.rs"]
mod pki;
mod support;

use std::process::Command;

use self::pki::{Authority, Good, Pki};
use self::support::{Daemon, code, finish, rmctl, rmd, stderr, stdout};

/// The files of a server and of a client that know each other.
fn pki() -> Pki {
    let (pki, authority) = (Pki::new(), Authority::new("first"));
    pki.trust("ca.pem", &[&authority]);
    pki.issue(
        "server",
        &authority,
        &["127.0.0.1", "localhost"],
        Good::Long,
    );
    pki.issue("client", &authority, &["spiffe://test/client"], Good::Long);
    pki
}

fn daemon(pki: &Pki, more: &[&str]) -> Daemon {
    let file = |name: &str| pki.path(name).display().to_string();
    let (cert, key, ca) = (file("server.pem"), file("server.key"), file("ca.pem"));
    let mut args = vec![
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
        "--tls-client-ca",
        &ca,
    ];
    args.extend(more);
    Daemon::start_with(&args)
}

/// `rmctl` of the client, by its environment.
fn secured(pki: &Pki, endpoint: &str, args: &[&str]) -> Command {
    let mut command = rmctl(args);
    command
        .env("RM_ENDPOINTS", endpoint)
        .env("RM_TLS_CA", pki.path("ca.pem"))
        .env("RM_TLS_CERT", pki.path("client.pem"))
        .env("RM_TLS_KEY", pki.path("client.key"));
    command
}

#[test]
fn commands_run_under_locks_over_tls() {
    let pki = pki();
    let daemon = daemon(&pki, &[]);
    for args in [
        &["lock", "x", "--", "true"][..],
        &["status"],
        &["members"],
        &["ls"],
    ] {
        let output = finish(secured(&pki, &daemon.address, args));
        assert_eq!(code(&output), Some(0), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn without_a_certificate_it_is_77_and_the_error_says_what_to_give() {
    let pki = pki();
    let daemon = daemon(&pki, &[]);
    for args in [&["lock", "x", "--", "true"][..], &["ls"], &["members"]] {
        let mut command = secured(&pki, &daemon.address, args);
        command.env_remove("RM_TLS_CERT").env_remove("RM_TLS_KEY");
        let output = finish(command);
        assert_eq!(code(&output), Some(77), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("--tls-cert"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn plain_text_to_a_tls_port_says_that_tls_is_spoken_there() {
    let pki = pki();
    let daemon = daemon(&pki, &[]);
    let output = daemon.run(&["lock", "x", "--", "true"]);
    assert_eq!(code(&output), Some(76), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("this port speaks TLS"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_file_that_is_no_use_is_78_and_named() {
    let pki = pki();
    pki.write("empty.pem", "");
    let mut command = secured(&pki, "127.0.0.1:1", &["ls"]);
    command.env("RM_TLS_CA", pki.path("empty.pem"));
    let output = finish(command);
    assert_eq!(code(&output), Some(78));
    assert!(stderr(&output).contains("empty.pem"), "{}", stderr(&output));
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = rmd(dir.path());
    server.arg("--tls-cert").arg(pki.path("server.pem"));
    server.arg("--tls-key").arg(pki.path("client.key"));
    let output = finish(server);
    assert_eq!(code(&output), Some(78));
    assert!(
        stderr(&output).contains("is not that of"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_unix_socket_beside_tcp_serves_whoever_may_open_it() {
    let pki = pki();
    let socket = format!("unix:{}", pki.path("rmd.sock").display());
    let daemon = Daemon::start_with(&["--listen", &socket, "--socket-mode", "660"]);
    let output = finish({
        let mut command = rmctl(&["lock", "x", "--", "true"]);
        command.env("RM_ENDPOINTS", &socket);
        command
    });
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    use std::os::unix::fs::PermissionsExt as _;
    let mode = pki
        .path("rmd.sock")
        .metadata()
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    drop(daemon);
}

#[test]
fn plain_text_does_not_leave_the_machine_unless_told_so() {
    let output = finish(rmctl(&["--endpoints", "192.0.2.1:7600", "ls"]));
    assert_eq!(code(&output), Some(77), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("--insecure"),
        "{}",
        stderr(&output)
    );
    assert_eq!(stdout(&output), "");
}
