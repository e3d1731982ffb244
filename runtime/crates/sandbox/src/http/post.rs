//! Requests of the host itself, such as those of webhooks: a body is posted to a place that somebody named, by the same way and
//! behind the same guard as the requests of guests.
//!
//! The name is resolved once, every address is held against what is permitted, and one of those is connected to. No redirect is
//! followed, and of the answer no more is read than is kept.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wasmtime_wasi_http::Error;

use super::client::Client;
use super::errors;
use super::head::{MAX_HEAD_BYTES, MAX_HEADERS};
use super::lookups::Lookups;
use super::place::Place;
use super::trust::{Trust, root_certificates};

/// What is kept of an answer.
const MAX_ANSWER_BYTES: usize = 1_024;
/// How long more of an answer is waited for than its head.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// Posts bodies. No connection is kept between two.
pub struct Poster {
    client: Client,
}

/// What is posted.
pub struct Post<'a> {
    /// Where to.
    pub url: &'a str,
    /// Headers beside those that every request has.
    pub headers: Vec<(&'static str, String)>,
    /// Its media type.
    pub media_type: &'a str,
    /// The body.
    pub body: Bytes,
    /// How long it may take, all told.
    pub within: Duration,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The status.
    pub status: u16,
    /// The beginning of the body.
    pub excerpt: Bytes,
    /// What its `retry-after` says, as it stands there.
    pub retry_after: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostError {
    /// Nothing can be sent there.
    #[error("nothing can be sent to this URL")]
    Url,
    /// It leads to addresses to which nothing is sent.
    #[error("`{0}` leads to no address to which requests may go: only to private ones, or to this machine")]
    Address(String),
    /// Its name leads nowhere.
    #[error("the name of `{0}` leads nowhere")]
    Name(String),
    /// Nobody knows yet where its name leads.
    #[error("the name of `{0}` was not resolved in time")]
    LateName(String),
    /// Nobody listens there.
    #[error("nobody could be reached at `{0}`")]
    Unreachable(String),
    /// There is no encryption that can be trusted.
    #[error("{0}")]
    Encryption(String),
    /// It took too long.
    #[error("`{place}` has not answered within {}", sunaba_task::format_duration(*within))]
    Late {
        /// Where.
        place: String,
        /// In this time.
        within: Duration,
    },
    /// The connection broke, or what came was no answer.
    #[error("`{0}` did not answer by HTTP")]
    Protocol(String),
}

impl PostError {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Address(_) => "address",
            Self::Name(_) | Self::LateName(_) => "name",
            Self::Unreachable(_) => "unreachable",
            Self::Encryption(_) => "encryption",
            Self::Late { .. } => "timeout",
            Self::Protocol(_) => "protocol",
        }
    }
}

impl Poster {
    /// One that believes the system's certificate authorities and these, each a text of PEM blocks.
    ///
    /// # Errors
    /// A text has none.
    pub fn new<'a>(roots: impl IntoIterator<Item = &'a [u8]>) -> std::io::Result<Self> {
        let mut certificates = Vec::new();
        for pem in roots {
            certificates.extend(root_certificates(pem)?);
        }
        Ok(Self { client: Client::resolving(Lookups::default(), Trust::new(certificates)) })
    }

    /// Posts a body to an address that is permitted, of those that the URL leads to.
    ///
    /// # Errors
    /// [`PostError`]: there is no answer. Whether the request has come there is not known.
    pub async fn post(
        &self,
        post: Post<'_>,
        permits: &(dyn Fn(IpAddr) -> bool + Send + Sync),
    ) -> Result<Posted, PostError> {
        let uri: http::Uri = post.url.parse().map_err(|_| PostError::Url)?;
        let place = Place::of(&uri).ok_or(PostError::Url)?;
        let within = post.within;
        let late = || PostError::Late { place: place.to_string(), within };
        timeout(within, self.exchange(post, &uri, &place, permits)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn exchange(
        &self,
        post: Post<'_>,
        uri: &http::Uri,
        place: &Place,
        permits: &(dyn Fn(IpAddr) -> bool + Send + Sync),
    ) -> Result<Posted, PostError> {
        let Post { headers, media_type, body, within, .. } = post;
        let failed = |error: hyper::Error| refused(place, within, &errors::of_exchange(&error), None);
        let stream = self.client.connect(place, permits, within).await;
        let stream = stream.map_err(|(error, note)| refused(place, within, &error, note))?;
        let request = request(uri, place, headers, media_type, body).ok_or(PostError::Url)?;
        let handshake =
            http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).max_headers(MAX_HEADERS).handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(failed)?;
        // A set, since what drives the connection goes with it when this is dropped.
        let mut driving = JoinSet::new();
        driving.spawn(async move {
            // How it ended is told to whoever waits for the answer.
            let _ = connection.await;
        });
        let response = sender.send_request(request).await.map_err(failed)?;
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (status, mut body) = (response.status().as_u16(), response.into_body());
        let mut excerpt = Vec::new();
        let reading = async {
            while excerpt.len() < MAX_ANSWER_BYTES
                && let Some(Ok(frame)) = body.frame().await
            {
                if let Some(data) = frame.data_ref() {
                    excerpt.extend_from_slice(&data[..data.len().min(MAX_ANSWER_BYTES - excerpt.len())]);
                }
            }
        };
        // The status is the answer; what can be read of the rest is for people.
        let _ = timeout(ANSWER_TIME, reading).await;
        Ok(Posted { status, excerpt: excerpt.into(), retry_after })
    }
}

/// None: there is none of this.
fn request(
    uri: &http::Uri,
    place: &Place,
    headers: Vec<(&'static str, String)>,
    media_type: &str,
    body: Bytes,
) -> Option<http::Request<Full<Bytes>>> {
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let mut request = http::Request::post(path).body(Full::new(body)).ok()?;
    let own = request.headers_mut();
    own.insert(HOST, HeaderValue::try_from(place.authority()).ok()?);
    own.insert(CONTENT_TYPE, HeaderValue::try_from(media_type).ok()?);
    own.insert(USER_AGENT, HeaderValue::from_static(concat!("sunaba/", env!("CARGO_PKG_VERSION"))));
    for (name, value) in headers {
        own.insert(HeaderName::from_static(name), HeaderValue::try_from(value).ok()?);
    }
    Some(request)
}

fn refused(place: &Place, within: Duration, error: &Error, note: Option<String>) -> PostError {
    let at = place.to_string();
    match error {
        Error::DestinationIpProhibited => PostError::Address(at),
        Error::DnsError { .. } => PostError::Name(at),
        Error::DnsTimeout => PostError::LateName(at),
        Error::ConnectionTimeout | Error::HttpResponseTimeout => PostError::Late { place: at, within },
        Error::TlsCertificateError | Error::TlsProtocolError | Error::ConfigurationError => {
            PostError::Encryption(note.unwrap_or_else(|| format!("`{at}` has no encryption that can be trusted")))
        }
        Error::ConnectionRefused | Error::DestinationUnavailable => PostError::Unreachable(at),
        _ => PostError::Protocol(at),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
    }

    fn post(url: &str) -> Post<'_> {
        let headers = vec![("webhook-id", "msg_1".to_owned())];
        Post { url, headers, media_type: "application/json", body: "{}".into(), within: Duration::from_secs(20) }
    }

    /// Answers one request with this, and gives what was asked.
    async fn serve(listener: TcpListener, answer: Vec<u8>) -> String {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut asked = Vec::new();
        while !asked.ends_with(b"{}") {
            assert_ne!(stream.read_buf(&mut asked).await.expect("a request"), 0);
        }
        // Whoever has read enough may have gone.
        let _ = stream.write_all(&answer).await;
        String::from_utf8(asked).expect("text")
    }

    #[test]
    fn body_is_posted_and_only_the_beginning_of_an_answer_is_kept() {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("http://{}/hooks?x=1", listener.local_addr().expect("it has one"));
            let long = [
                b"HTTP/1.1 302 Found\r\nLocation: /other\r\nRetry-After: 7\r\nContent-Length: 100000\r\n\r\n"
                    .as_slice(),
                &[b'x'; 100_000],
            ]
            .concat();
            let poster = Poster::new([]).expect("no roots are no trouble");
            let (asked, posted) = tokio::join!(serve(listener, long), poster.post(post(&url), &|_| true));
            let posted = posted.expect("an answer");
            assert_eq!((posted.status, posted.excerpt.len()), (302, MAX_ANSWER_BYTES));
            assert_eq!(posted.retry_after.as_deref(), Some("7"));
            assert!(
                asked.starts_with("POST /hooks?x=1 HTTP/1.1\r\n") && asked.contains("webhook-id: msg_1\r\n"),
                "{asked}"
            );
            assert!(
                asked.contains("content-length: 2\r\n") && asked.contains("content-type: application/json\r\n"),
                "{asked}"
            );
        });
    }

    #[test]
    fn address_that_is_not_permitted_is_not_connected_to() {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("it has one").port();
            let poster = Poster::new([]).expect("no roots are no trouble");
            for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
                let url = format!("http://{host}:{port}/");
                let refused = poster.post(post(&url), &sunaba_task::is_public).await.expect_err(host);
                assert!(matches!(refused, PostError::Address(_)), "{host}: {refused}");
            }
            for url in ["", "/x", "ftp://a.example/", "http://user@127.0.0.1/"] {
                assert_eq!(poster.post(post(url), &|_| true).await, Err(PostError::Url), "{url}");
            }
        });
    }

    #[test]
    fn endpoint_that_says_nothing_is_given_up_in_time() {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("http://{}/", listener.local_addr().expect("it has one"));
            let poster = Poster::new([]).expect("no roots are no trouble");
            let short = Post { within: Duration::from_millis(50), ..post(&url) };
            let refused = poster.post(short, &|_| true).await.expect_err("nobody answers");
            assert_eq!(refused.word(), "timeout", "{refused}");
        });
    }
}
