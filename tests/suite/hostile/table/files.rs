//! What a guest can do with a directory that it was granted, and with a network that it was not.

use super::super::case::{Case, Data, failed, stopped, succeeds};

pub(super) const FILES: &[Case] = &[
    failed("open-ungranted", "open-ungranted", "denied"),
    failed("files", "climb-out", "denied").data(Data::ReadWrite),
    failed("files", "link-out", "denied").data(Data::ReadWrite),
    failed("files", "link-round", "denied").data(Data::ReadWrite),
    failed("files", "saw-off", "denied").data(Data::ReadWrite),
    failed("files", "write-read-only", "denied").data(Data::ReadOnly),
    stopped("files", "open-many", "limit open-files").data(Data::ReadWrite),
    stopped("files", "write-on", "limit written-bytes").data(Data::ReadWrite),
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
