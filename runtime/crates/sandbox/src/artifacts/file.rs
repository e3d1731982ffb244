//! One file of compiled code: how it is laid out, and when it is believed. Touches no disk.
//!
//! `magic · mac (32) · engine (32) · component (32) · fuel mode (1) · length of the description (4, little-endian) ·
//! description · code`. The mac is over all that follows it.

use std::io;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use sunaba_task::{Digest, FuelMode};

use super::SUFFIX;
use crate::component::ComponentInfo;

const MAGIC: &[u8; 8] = b"sunabaA1";
const MAC_BYTES: usize = 32;
/// Before the description.
const HEAD_BYTES: usize = 8 + MAC_BYTES + 32 + 32 + 1 + 4;

/// Which code it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) component: Digest,
    pub(super) mode: FuelMode,
    pub(super) engine: [u8; 32],
}

/// The beginning of all names of a component's files.
pub(super) fn stem(component: Digest) -> String {
    hex(component.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mode_byte(mode: FuelMode) -> u8 {
    match mode {
        FuelMode::Exact => 0,
        FuelMode::Off => 1,
    }
}

impl Identity {
    /// The engine's part is short: the file has the whole.
    pub(super) fn file_name(&self) -> String {
        format!("{}-{}-{}{SUFFIX}", stem(self.component), self.mode, hex(&self.engine[..8]))
    }

    fn to_bytes(self) -> Vec<u8> {
        [&self.engine[..], self.component.as_bytes(), &[mode_byte(self.mode)]].concat()
    }
}

/// What a file has told, and may be believed.
#[derive(Debug)]
pub(crate) struct Known {
    /// What `describe` had said when it was checked.
    pub(crate) info: ComponentInfo,
    bytes: Vec<u8>,
    code_at: usize,
}

impl Known {
    pub(crate) fn code(&self) -> &[u8] {
        &self.bytes[self.code_at..]
    }
}

fn mac(key: &[u8; 32], rest: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    mac.update(rest);
    mac
}

pub(super) fn write(key: &[u8; 32], identity: &Identity, info: &ComponentInfo, code: &[u8]) -> io::Result<Vec<u8>> {
    let info = postcard::to_allocvec(info).map_err(io::Error::other)?;
    let length = u32::try_from(info.len()).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + info.len() + code.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[0; MAC_BYTES]);
    bytes.extend_from_slice(&identity.to_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&info);
    bytes.extend_from_slice(code);
    let (head, rest) = bytes.split_at_mut(8 + MAC_BYTES);
    head[8..].copy_from_slice(&mac(key, rest).finalize().into_bytes());
    Ok(bytes)
}

/// What a file says, if it is whole, ours, and of what was asked for; otherwise what is wrong with it.
pub(super) fn read(key: &[u8; 32], identity: &Identity, bytes: Vec<u8>) -> Result<Known, &'static str> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it is no file of compiled code")?;
    let (tag, rest) = rest.split_at_checked(MAC_BYTES).ok_or("it is cut")?;
    // In constant time, and before anything of it is looked at.
    mac(key, rest).verify_slice(tag).map_err(|_| "its authentication code does not fit")?;
    let rest = rest.strip_prefix(&identity.to_bytes()[..]).ok_or("it is of another component, mode or engine")?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or("it is cut")?;
    let length = u32::from_le_bytes(*length) as usize;
    let info: ComponentInfo =
        rest.get(..length).and_then(|info| postcard::from_bytes(info).ok()).ok_or("its description cannot be read")?;
    if info.digest != identity.component {
        return Err("its description is of another component");
    }
    Ok(Known { info, bytes, code_at: HEAD_BYTES + length })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [3; 32];

    fn identity() -> Identity {
        Identity { component: Digest::of(b"component"), mode: FuelMode::Exact, engine: [9; 32] }
    }

    fn written() -> Vec<u8> {
        let info = ComponentInfo {
            digest: identity().component,
            size_bytes: 9,
            imports: vec!["wasi:io/poll@0.2.0".into()],
            exports: Vec::new(),
            handlers: Vec::new(),
            decider: None,
        };
        write(&KEY, &identity(), &info, b"machine code").expect("in memory")
    }

    #[test]
    fn file_reads_back() {
        let known = read(&KEY, &identity(), written()).expect("whole");
        assert_eq!((known.code(), &known.info.imports[0][..]), (&b"machine code"[..], "wasi:io/poll@0.2.0"));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let whole = written();
        for place in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[place] ^= 1 << bit;
                assert!(read(&KEY, &identity(), flipped).is_err(), "bit {bit} of byte {place}");
            }
        }
    }

    #[test]
    fn every_cut_and_every_addition_is_noticed() {
        let whole = written();
        for length in 0..whole.len() {
            assert!(read(&KEY, &identity(), whole[..length].to_vec()).is_err(), "{length}");
        }
        assert!(read(&KEY, &identity(), [&whole[..], b"x"].concat()).is_err());
    }

    #[test]
    fn file_of_another_key_component_mode_or_engine_is_refused() {
        let others = [
            Identity { component: Digest::of(b"another"), ..identity() },
            Identity { mode: FuelMode::Off, ..identity() },
            Identity { engine: [8; 32], ..identity() },
        ];
        for other in others {
            assert_eq!(read(&KEY, &other, written()).err(), Some("it is of another component, mode or engine"));
        }
        assert_eq!(read(&[4; 32], &identity(), written()).err(), Some("its authentication code does not fit"));
    }
}
