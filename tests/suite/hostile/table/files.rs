//! What a guest can do with a directory that it was granted, with a network that it was not, and with requests to few places.

use super::super::case::{Case, Data, failed, stopped, succeeds};

pub(super) const FILES: &[Case] = &[
    failed("open-ungranted", "open-ungranted", "denied"),
    failed("files", "climb-out", "denied").data(Data::ReadWrite),
    failed("files", "link-out", "denied").data(Data::ReadWrite),
    failed("files", "link-round", "denied").data(Data::ReadWrite),
    failed("files", "saw-off", "denied").data(Data::ReadWrite),
    failed("files", "write-read-only", "denied").data(Data::ReadOnly),
    stopped("files", "open-many", "limit open-files").data(Data::ReadWrite),
    stopped("files", "write-on", "limit written-bytes").data(Data::ReadWrite).limits("written-bytes=32MiB"),
    stopped("files", "make-sparse", "limit written-bytes").data(Data::ReadWrite),
    succeeds("files", "dig").data(Data::ReadWrite),
    succeeds("files", "crowd").data(Data::ReadWrite),
    failed("files", "open-pipe", "error").data(Data::ReadOnly),
];

pub(super) const NETWORK: &[Case] = &[
    failed("network", "connect", "denied"),
    failed("network", "connect-to-metadata", "denied"),
    failed("network", "listen", "denied"),
    failed("network", "send", "denied"),
    failed("network", "resolve", "denied"),
    failed("network", "hoard-sockets", "denied"),
    stopped("http-escape", "hoard-heads", "limit resources"),
    stopped("http-escape", "fill-fields", "host-call wasi:http/types.fields.append"),
];

const AT: &str = r#"{"port":PORT}"#;
/// The server by its name, which leads to an address that is not public.
const BY_NAME: &[&str] = &["http://localhost:PORT"];
/// The server, and nothing else.
const BY_ADDRESS: &[&str] = &["http://127.0.0.1:PORT"];

pub(super) const REQUESTS: &[Case] = &[
    failed("requests", "ask-loopback", "denied").input(AT).http(BY_NAME),
    failed("requests", "ask-metadata", "denied").http(BY_ADDRESS),
    failed("requests", "ask-name-of-loopback", "prohibited").input(AT).http(BY_NAME),
    failed("requests", "ask-mapped-address", "denied").input(AT).http(BY_NAME),
    failed("requests", "ask-number", "denied").input(AT).http(BY_ADDRESS),
    failed("requests", "ask-round-a-corner", "denied").input(AT).http(BY_ADDRESS),
    succeeds("requests", "coax-secret").input(AT).http(BY_ADDRESS).secret(),
];
