//! `wasi:cli` and what `wasi:sockets` begins with, in the ledger. No socket is ever made: making one is refused before the
//! system is asked for a descriptor, and whatever else there is of sockets needs one.

use wasmtime::Result;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::cli::WasiCliView as _;
use wasmtime_wasi::p2::bindings::cli::{
    environment, exit, stderr, stdin, stdout, terminal_stderr, terminal_stdin, terminal_stdout,
};
use wasmtime_wasi::p2::bindings::sockets::{
    instance_network, ip_name_lookup, network, tcp_create_socket, udp_create_socket,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, SocketError, SocketResult};
use wasmtime_wasi::sockets::WasiSocketsView as _;

use crate::calls::pass_on;
use crate::state::State;

type TerminalInput = wasmtime_wasi::p2::bindings::cli::terminal_input::TerminalInput;
type TerminalOutput = wasmtime_wasi::p2::bindings::cli::terminal_output::TerminalOutput;

/// Adds both.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    environment::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    exit::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    stdin::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    stdout::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    stderr::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    terminal_stdin::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    terminal_stdout::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    terminal_stderr::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    instance_network::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    tcp_create_socket::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    udp_create_socket::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    ip_name_lookup::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl environment::Host for State {
    pass_on! { environment::Host, cli;
        "wasi:cli/environment.get-environment" fn get_environment() -> Result<Vec<(String, String)>>;
        "wasi:cli/environment.get-arguments" fn get_arguments() -> Result<Vec<String>>;
        "wasi:cli/environment.initial-cwd" fn initial_cwd() -> Result<Option<String>>;
    }
}

impl exit::Host for State {
    pass_on! { exit::Host, cli;
        "wasi:cli/exit.exit" fn exit(status: Result<(), ()>) -> Result<()>;
        "wasi:cli/exit.exit-with-code" fn exit_with_code(code: u8) -> Result<()>;
    }
}

impl stdin::Host for State {
    pass_on! { stdin::Host, cli; "wasi:cli/stdin.get-stdin" fn get_stdin() -> Result<Resource<DynInputStream>>; }
}

impl stdout::Host for State {
    pass_on! { stdout::Host, cli; "wasi:cli/stdout.get-stdout" fn get_stdout() -> Result<Resource<DynOutputStream>>; }
}

impl stderr::Host for State {
    pass_on! { stderr::Host, cli; "wasi:cli/stderr.get-stderr" fn get_stderr() -> Result<Resource<DynOutputStream>>; }
}

impl terminal_stdin::Host for State {
    pass_on! { terminal_stdin::Host, cli;
        "wasi:cli/terminal-stdin.get-terminal-stdin" fn get_terminal_stdin() -> Result<Option<Resource<TerminalInput>>>;
    }
}

impl terminal_stdout::Host for State {
    pass_on! { terminal_stdout::Host, cli;
        "wasi:cli/terminal-stdout.get-terminal-stdout"
            fn get_terminal_stdout() -> Result<Option<Resource<TerminalOutput>>>;
    }
}

impl terminal_stderr::Host for State {
    pass_on! { terminal_stderr::Host, cli;
        "wasi:cli/terminal-stderr.get-terminal-stderr"
            fn get_terminal_stderr() -> Result<Option<Resource<TerminalOutput>>>;
    }
}

impl instance_network::Host for State {
    pass_on! { instance_network::Host, sockets;
        "wasi:sockets/instance-network.instance-network" fn instance_network() -> Result<Resource<network::Network>>;
    }
}

impl tcp_create_socket::Host for State {
    pass_on! { tcp_create_socket::Host, sockets;
        "wasi:sockets/tcp-create-socket.create-tcp-socket"
            fn create_tcp_socket(family: network::IpAddressFamily) -> SocketResult<Resource<tcp_create_socket::TcpSocket>>;
    }
}

impl udp_create_socket::Host for State {
    pass_on! { udp_create_socket::Host, sockets;
        "wasi:sockets/udp-create-socket.create-udp-socket" async fn create_udp_socket(
            family: network::IpAddressFamily
        ) -> SocketResult<Resource<udp_create_socket::UdpSocket>>;
    }
}

impl ip_name_lookup::Host for State {
    pass_on! { ip_name_lookup::Host, sockets;
        "wasi:sockets/ip-name-lookup.resolve-addresses" fn resolve_addresses(
            network: Resource<network::Network>, name: String
        ) -> SocketResult<Resource<ip_name_lookup::ResolveAddressStream>>, moves name.len();
    }
}

impl ip_name_lookup::HostResolveAddressStream for State {
    pass_on! { ip_name_lookup::HostResolveAddressStream, sockets;
        "wasi:sockets/ip-name-lookup.resolve-address-stream.resolve-next-address" fn resolve_next_address(
            stream: Resource<ip_name_lookup::ResolveAddressStream>
        ) -> SocketResult<Option<network::IpAddress>>;
        "wasi:sockets/ip-name-lookup.resolve-address-stream.subscribe" fn subscribe(
            stream: Resource<ip_name_lookup::ResolveAddressStream>
        ) -> Result<Resource<DynPollable>>;
        "wasi:sockets/ip-name-lookup.resolve-address-stream.drop" fn drop(
            stream: Resource<ip_name_lookup::ResolveAddressStream>
        ) -> Result<()>;
    }
}

/// Needed by the others, and by nobody else: what is linked is wasmtime-wasi's own.
impl network::Host for State {
    fn convert_error_code(&mut self, error: SocketError) -> Result<network::ErrorCode> {
        error.downcast()
    }

    pass_on! { network::Host, sockets;
        "wasi:sockets/network.network-error-code"
            fn network_error_code(error: Resource<wasmtime::Error>) -> Result<Option<network::ErrorCode>>;
    }
}

impl network::HostNetwork for State {
    pass_on! { network::HostNetwork, sockets;
        "wasi:sockets/network.network.drop" fn drop(network: Resource<network::Network>) -> Result<()>;
    }
}
