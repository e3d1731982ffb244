//! A proxy in front of a host that tells by their names which operations were asked for.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sunaba_runtime::server::{Operation, operations};

/// A longer wait for either side means that something is wrong: longer than any wait that a host may be asked for, and than a deploy
/// takes on a machine that does other things, too.
const LONGEST: Duration = Duration::from_secs(300);

/// Passes requests on, one for each connection.
pub(super) struct Recorder {
    pub(super) address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    /// In front of the host at this address.
    pub(super) fn start(host: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("it listens"));
        let host = host.strip_prefix("http://").expect("an address").to_owned();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&asked);
        // It ends with the process: nobody waits for it.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (host, seen) = (host.clone(), Arc::clone(&seen));
                // A client that has gone is no reason to fail: it has its answer, or does not want it.
                std::thread::spawn(move || pass_on(stream, &host, &seen));
            }
        });
        Self { address, asked }
    }

    /// What was asked for since the last time, each once, by name.
    pub(super) fn take(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().expect("nobody panicked"));
        asked.sort();
        asked.dedup();
        asked
    }
}

fn pass_on(mut client: TcpStream, host: &str, seen: &Mutex<Vec<String>>) -> Option<()> {
    client.set_read_timeout(Some(LONGEST)).ok()?;
    let mut request = Vec::new();
    let head_end = loop {
        if let Some(at) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        read_more(&mut client, &mut request)?;
    };
    let head = String::from_utf8(request[..head_end].to_vec()).ok()?;
    let (target, headers) = head.split_once("\r\n")?;
    let mut words = target.split(' ');
    let (method, path) = (words.next()?, words.next()?.split('?').next()?);
    seen.lock().ok()?.push(name_of(method, path));
    let length = headers.lines().filter_map(|line| line.split_once(':'));
    let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.map(|(_, value)| value.trim().parse().ok()).next().flatten().unwrap_or(0);
    while request.len() < head_end + 4 + length {
        read_more(&mut client, &mut request)?;
    }
    let mut host = TcpStream::connect(host).ok()?;
    host.set_read_timeout(Some(LONGEST)).ok()?;
    // One request for each connection: where an answer ends is then told by its end.
    host.write_all(format!("{target}\r\nConnection: close\r\n{headers}\r\n\r\n").as_bytes()).ok()?;
    host.write_all(&request[head_end + 4..]).ok()?;
    std::io::copy(&mut host, &mut client).ok()?;
    Some(())
}

fn read_more(stream: &mut TcpStream, request: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 16 << 10];
    let read = stream.read(&mut piece).ok().filter(|read| *read > 0)?;
    request.extend_from_slice(&piece[..read]);
    Some(())
}

/// The operation of a request: of those whose path fits the one that says most of it word for word.
fn name_of(method: &str, path: &str) -> String {
    let fits = |operation: &Operation| operation.method == method && exact(operation.path, path).is_some();
    let operation = operations().filter(fits).max_by_key(|operation| exact(operation.path, path));
    operation.map_or_else(|| format!("{method} {path}"), |operation| operation.id.to_owned())
}

/// How many parts of a path are as a template has them. None: it does not fit.
fn exact(template: &str, path: &str) -> Option<usize> {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let parts = || template.iter().zip(&path);
    let fits = parts().all(|(template, part)| template.starts_with('{') || template == part);
    (template.len() == path.len() && fits).then(|| parts().filter(|(template, part)| template == part).count())
}

#[test]
fn request_is_named_by_the_path_that_says_most_of_it() {
    assert_eq!(name_of("POST", "/v1/tasks/bulk"), "submit_tasks");
    assert_eq!(name_of("GET", "/v1/tasks/bulk"), "get_task");
    assert_eq!(name_of("GET", "/v1/tasks/bulk/artifacts/a%2Fb"), "get_artifact");
    assert_eq!(name_of("PUT", "/v1/tasks"), "PUT /v1/tasks");
}
