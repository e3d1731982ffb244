//! What every command has that talks to a host.

use sunaba_runtime::Client;

use crate::exit::CommandError;

/// Where `serve` listens unless told otherwise.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:7878";

#[derive(Debug, clap::Args)]
pub(crate) struct Remote {
    /// The host to talk to
    #[arg(long, env = "SUNABA_ADDRESS", default_value = "http://127.0.0.1:7878", global = true)]
    address: String,
}

impl Remote {
    /// A client for it. Nothing is sent yet.
    ///
    /// # Errors
    /// It is no address.
    pub(crate) fn client(&self) -> Result<Client, CommandError> {
        Ok(Client::new(&self.address)?)
    }
}
