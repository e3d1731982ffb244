//! The server that hostile guests may ask: it tells back what it hears, which is a secret, and sends on who asks for it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::http::{Server, parrot, say};

const SECRET: &str = "correct-horse/battery";
/// Nowhere: the machines of clouds find their keys there.
const ELSEWHERE: &str = "http://169.254.169.254/";

pub(super) struct Reflector {
    server: Server,
}

impl Reflector {
    pub(super) fn start() -> Self {
        let server = Server::start(|head, stream| {
            if head.starts_with("GET /away ") {
                let away = format!("HTTP/1.1 302 Found\r\nlocation: {ELSEWHERE}\r\ncontent-length: 0\r\n\r\n");
                say(stream, away.as_bytes());
            } else {
                parrot(head, stream);
            }
        });
        Self { server }
    }

    /// A text in which its port stands in the place of `PORT`.
    pub(super) fn found(&self, text: &str) -> String {
        let (_, port) = self.server.authority.rsplit_once(':').expect("an address has a port");
        text.replace("PORT", port)
    }

    /// Its secret as an option of the host, from a file in this folder.
    pub(super) fn secret(&self, folder: &Path) -> String {
        let file = folder.join("secret");
        std::fs::write(&file, SECRET).expect("the folder is the test's own");
        format!("API_KEY=file:{}@{}", file.display(), self.server.grant())
    }

    /// Nobody came to it but who may: the one to be sent on, the other with its secret.
    pub(super) fn was_asked_by_nobody_else(&self) {
        let may = |head: &String| head.starts_with("GET /away ") || head.contains("\r\nauthorization: Bearer ");
        let others: Vec<_> = self.server.seen().into_iter().filter(|head| !may(head)).collect();
        assert!(others.is_empty(), "{others:?}");
    }

    /// It has heard its secret, and nobody else has: not in what the guest has returned, said and logged.
    pub(super) fn kept_its_secret(&self, name: &str, told: &str) {
        let heard = self.server.seen().iter().any(|head| head.contains(SECRET));
        assert!(heard, "{name}: the secret did not come to its server: {told}");
        assert!(told.contains("sunaba-secret-API_KEY-"), "{name}: nothing was told back: {told}");
        let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
        // What base64 makes of it at each of the three places where it can begin, without what depends on its neighbours.
        let encoded = ["", "a", "ab"].map(|before| STANDARD.encode(format!("{before}{SECRET}"))[4..24].to_owned());
        for form in encoded.iter().map(String::as_str).chain([SECRET, "correct-horse", &hex]) {
            assert!(!told.contains(form), "{name}: the secret came back as `{form}`: {told}");
        }
    }
}
