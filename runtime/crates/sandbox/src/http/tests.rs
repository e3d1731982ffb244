//! Requests from the hook to a server: where names lead, whose certificates are believed, and what a secret becomes.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sunaba_task::{BoxFuture, Limits, LogEntry, Secret, SecretText, Unattended};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks as _};

use super::hooks::{Hooks, Outgoing};
use super::resolve::Resolve;
use super::*;
use crate::book::Book;
use crate::clock::now;
use crate::interrupt::Interrupt;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Answers with the next addresses each time, with the last ones for ever; counts how often it was asked.
#[derive(Clone, Default)]
struct Names {
    answers: Arc<Mutex<VecDeque<Vec<IpAddr>>>>,
    asked: Arc<AtomicUsize>,
}

impl Names {
    fn lead_to(answers: &[&[&str]]) -> Self {
        let parse = |texts: &&[&str]| texts.iter().map(|text| text.parse().expect("an address")).collect();
        Self { answers: Arc::new(Mutex::new(answers.iter().map(parse).collect())), asked: Arc::default() }
    }
}

impl Resolve for Names {
    fn resolve(&self, _: String) -> BoxFuture<'_, std::io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().expect("nobody panicked");
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        match answer {
            Some(answer) => Box::pin(async { Ok(answer) }),
            None => Box::pin(std::future::pending()),
        }
    }
}

/// What an attempt has of it all.
struct Bench {
    hooks: Hooks,
    book: Book,
    vault: Option<Arc<Vault>>,
}

impl Bench {
    fn new(client: Client, grants: &[&str], secrets: Vec<Secret>) -> Self {
        let (limits, begun) = (Limits::default(), now());
        let interrupt = Arc::new(Interrupt::new(begun, limits.timeout));
        let book = Book::new(&limits, begun, Arc::new(Unattended));
        let grants = grants.iter().map(|grant| grant.parse().expect("a grant")).collect();
        let vault = Vault::new(secrets, None);
        let outgoing = Outgoing::new(Arc::new(client), grants, vault.clone(), &limits, &interrupt, &book);
        Self { hooks: Hooks::of(outgoing), book, vault }
    }

    fn plain(names: &Names, grants: &[&str]) -> Self {
        Self::new(Client::resolving(names.clone(), Trust::new(Vec::new())), grants, Vec::new())
    }

    /// The status, and the head and body as a guest would see them.
    async fn get(&mut self, uri: &str, header: Option<(&str, &str)>) -> Result<(u16, String), Error> {
        let mut request = http::Request::builder().uri(uri);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let body: WasiBody = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = request.body(body).expect("a request");
        let patience = Duration::from_millis(200);
        let options =
            RequestOptions { connect_timeout: uri.contains("hangs").then_some(patience), ..Default::default() };
        let sending = self.hooks.send_request(request, Some(options), Box::new(async { Ok(()) }));
        let (response, driving) = Pin::from(sending).await?;
        tokio::spawn(Pin::from(driving));
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok((parts.status.as_u16(), format!("{:?} {}", parts.headers, String::from_utf8_lossy(&body))))
    }

    fn notes(&self) -> Vec<String> {
        self.book.close().0.into_iter().map(|entry: LogEntry| entry.message).collect()
    }
}

/// Reads a head, and answers with it in a header and, twice, byte by byte in chunks of the body.
async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).expect("text");
    let line = head.trim_end().replace("\r\n", " | ");
    let mut answer = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-echo: {line}\r\n\r\n");
    for byte in format!("{line} {line}").chars() {
        answer.push_str(&format!("1\r\n{byte}\r\n"));
    }
    answer.push_str("0\r\n\r\n");
    // The client may have hung up.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// A server without encryption; its port.
async fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    port
}

/// An authority and its certificate.
fn authority() -> (Issuer<'static, KeyPair>, CertificateDer<'static>) {
    let key = KeyPair::generate().expect("a key");
    let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = parameters.self_signed(&key).expect("a certificate").der().clone();
    (Issuer::new(parameters, key), certificate)
}

/// A server with a certificate for `a.example`; its port, and its authority.
async fn tls_server() -> (u16, CertificateDer<'static>) {
    let (issuer, root) = authority();
    let key = KeyPair::generate().expect("a key");
    let parameters = CertificateParams::new(vec!["a.example".into()]).expect("a name");
    let certificate = parameters.signed_by(&key, &issuer).expect("a certificate").der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth();
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key).expect("they fit")));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not believe us hangs up.
                if let Ok(stream) = acceptor.accept(stream).await {
                    assert_eq!(stream.get_ref().1.server_name(), Some("a.example"));
                    echo(stream).await;
                }
            });
        }
    });
    (port, root)
}

fn here() -> Names {
    Names::lead_to(&[&["127.0.0.1"]])
}

#[test]
fn only_permitted_addresses_of_a_mixed_answer_are_connected_to() {
    block_on(async {
        let port = server().await;
        let names = Names::lead_to(&[&["10.0.0.1", "169.254.169.254", "127.0.0.1"]]);
        let mut bench = Bench::plain(&names, &[&format!("http://a.example:{port}@127.0.0.0/8")]);
        let (status, seen) = bench.get(&format!("http://A.example:{port}/x?y"), None).await.expect("an answer");
        assert_eq!((status, names.asked.load(Ordering::SeqCst)), (200, 1));
        assert!(seen.contains(&format!("GET /x?y HTTP/1.1 | host: a.example:{port} | connection: close")), "{seen}");
    });
}

#[test]
fn name_that_leads_elsewhere_the_second_time_gains_nothing() {
    block_on(async {
        let port = server().await;
        let names = Names::lead_to(&[&["127.0.0.1"], &["127.0.0.2"]]);
        let mut bench = Bench::plain(&names, &[&format!("http://a.example:{port}@127.0.0.1")]);
        let uri = format!("http://a.example:{port}/");
        assert_eq!(bench.get(&uri, None).await.expect("an answer").0, 200);
        assert!(matches!(bench.get(&uri, None).await, Err(Error::DestinationIpProhibited)));
        // Once for each request: what was checked is what is connected to.
        assert_eq!(names.asked.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn addresses_that_are_not_public_are_refused_unless_named() {
    block_on(async {
        let special = ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "100.100.100.200", "0.0.0.0", "::1"];
        for address in special.into_iter().chain(["::ffff:127.0.0.1", "fd00::1", "fe80::1", "64:ff9b::7f00:1"]) {
            let mut bench = Bench::plain(&Names::lead_to(&[&[address]]), &["http://a.example"]);
            let refused = bench.get("http://a.example/", None).await;
            assert!(matches!(refused, Err(Error::DestinationIpProhibited)), "{address}");
            let shown: IpAddr = address.parse().expect("an address");
            let grant = format!("it would take the grant `http://a.example@{shown}`");
            assert!(bench.notes()[0].ends_with(&grant), "{grant}");
        }
    });
}

#[test]
fn ungranted_places_are_denied_and_told_once_each() {
    block_on(async {
        let mut bench = Bench::plain(&here(), &["https://a.example"]);
        let elsewhere =
            ["http://a.example/", "https://a.example:444/", "https://b.example/", "https://b.example/again"];
        for uri in elsewhere {
            assert!(matches!(bench.get(uri, None).await, Err(Error::HttpRequestDenied)), "{uri}");
        }
        let notes = bench.notes();
        assert_eq!(notes.len(), 3, "{notes:?}");
        let expected =
            "refused a request to `http://a.example`: it is not granted; it would take the grant `http://a.example`";
        assert_eq!(notes[0], expected);
    });
}

#[test]
fn notes_of_refused_places_are_bounded() {
    block_on(async {
        let mut bench = Bench::plain(&here(), &[]);
        for index in 0..100 {
            assert!(bench.get(&format!("http://h{index}.example/"), None).await.is_err());
        }
        assert_eq!(bench.notes().len(), 17);
    });
}

#[test]
fn certificate_of_the_granted_host_is_believed() {
    block_on(async {
        let (port, root) = tls_server().await;
        let client = Client::resolving(here(), Trust::new(vec![root]));
        let mut bench = Bench::new(client, &[&format!("https://a.example:{port}@127.0.0.1")], Vec::new());
        assert_eq!(bench.get(&format!("https://a.example:{port}/"), None).await.expect("an answer").0, 200);
    });
}

#[test]
fn certificate_of_another_host_or_authority_is_not_believed() {
    block_on(async {
        let (port, root) = tls_server().await;
        let (_, other) = authority();
        for (host, root) in [("b.example", root), ("a.example", other)] {
            let client = Client::resolving(here(), Trust::new(vec![root]));
            let mut bench = Bench::new(client, &[&format!("https://{host}:{port}@127.0.0.1")], Vec::new());
            let refused = bench.get(&format!("https://{host}:{port}/"), None).await;
            assert!(matches!(refused, Err(Error::TlsCertificateError)), "{host}");
            assert!(bench.notes()[0].contains("no trusted encryption"), "{host}");
        }
    });
}

#[test]
fn server_without_encryption_is_not_spoken_to_as_if_it_had() {
    block_on(async {
        let port = server().await;
        let (_, root) = authority();
        let client = Client::resolving(here(), Trust::new(vec![root]));
        let mut bench = Bench::new(client, &[&format!("https://a.example:{port}@127.0.0.1")], Vec::new());
        let uri = format!("https://a.example:{port}/hangs");
        let patient = tokio::time::timeout(Duration::from_secs(20), bench.get(&uri, None));
        assert!(patient.await.expect("bounded by the guest's own timeout").is_err());
    });
}

#[test]
fn secret_is_sent_by_tls_and_never_seen_when_it_comes_back() {
    block_on(async {
        let (port, root) = tls_server().await;
        let client = Client::resolving(here(), Trust::new(vec![root]));
        let place = format!("https://a.example:{port}");
        let text = "correct-horse-battery";
        let secret = Secret { name: "KEY".into(), text: SecretText::new(text), host: place.parse().expect("a grant") };
        let mut bench = Bench::new(client, &[&format!("{place}@127.0.0.1")], vec![secret]);
        let held = bench.vault.as_ref().expect("it has one").variables().next().expect("one").value;
        let bearer = format!("Bearer {held}");
        let (_, seen) =
            bench.get(&format!("{place}/{held}"), Some(("authorization", &bearer))).await.expect("an answer");
        assert!(!seen.contains(text), "{seen}");
        // Once in the header and twice in the body; paths are left alone.
        let echoed = format!("GET /{held} HTTP/1.1 | authorization: {bearer} | accept-encoding: identity");
        assert_eq!(seen.matches(&echoed).count(), 3, "{seen}");
    });
}

#[test]
fn lookup_that_hangs_ends_with_the_guests_timeout() {
    block_on(async {
        let mut bench = Bench::plain(&Names::default(), &["http://hangs.example"]);
        assert!(matches!(bench.get("http://hangs.example/", None).await, Err(Error::DnsTimeout)));
    });
}
