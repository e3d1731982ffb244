//! What a guest is told when a request fails: the words of `wasi:http`, and never a text that came from elsewhere.

use std::io::{self, ErrorKind};

use wasmtime_wasi_http::Error;

use super::head::MAX_HEAD_BYTES;

/// A response could not be read, or a request could not be written.
pub(super) fn of_exchange(error: &hyper::Error) -> Error {
    if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(u32::try_from(MAX_HEAD_BYTES).ok())
    } else if error.is_incomplete_message()
        || of_io(error).is_some_and(|error| error.kind() == ErrorKind::UnexpectedEof)
    {
        Error::HttpResponseIncomplete
    } else if error.is_timeout() {
        Error::HttpResponseTimeout
    } else if error.is_body_write_aborted() || error.is_user() {
        Error::HttpRequestBodySize(None)
    } else if error.is_closed() || error.is_canceled() || of_io(error).is_some() {
        Error::ConnectionTerminated
    } else {
        Error::HttpProtocolError
    }
}

fn of_io(error: &hyper::Error) -> Option<&io::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// Nothing listens there, or nothing is there.
pub(super) fn of_connect(error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Error::ConnectionTerminated,
        ErrorKind::TimedOut => Error::ConnectionTimeout,
        _ => Error::DestinationUnavailable,
    }
}

/// There was no TLS to agree on, or the certificate is not the granted host's.
pub(super) fn of_tls(error: &io::Error) -> Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_errors_tell_a_bad_certificate_from_no_tls() {
        let of = |error: rustls::Error| of_tls(&io::Error::other(error));
        let expired = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        assert!(matches!(of(expired), Error::TlsCertificateError));
        assert!(matches!(of(rustls::Error::DecryptError), Error::TlsProtocolError));
    }
}
