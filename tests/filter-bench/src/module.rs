//! The module itself: its size, and what it exports.

use std::fs;
use std::path::Path;

use crate::error::Failure;

/// How a module begins: its magic number and the format's version.
const HEADER: &[u8] = b"\0asm\x01\0\0\0";
/// The number of the section of exports.
const EXPORTS: u8 = 7;

/// A module's size in bytes and the names that it exports.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) bytes: u32,
    pub(crate) exports: Vec<String>,
}

impl Module {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = fs::read(path).map_err(Failure::file(path))?;
        let exports = exports(&bytes).ok_or_else(|| Failure::Module {
            path: path.to_path_buf(),
        })?;
        Ok(Self {
            bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            exports,
        })
    }
}

/// The names of a module's exports; `None` if it is no module.
fn exports(module: &[u8]) -> Option<Vec<String>> {
    let mut rest = module.strip_prefix(HEADER)?;
    while let Some((section, after)) = rest.split_first() {
        rest = after;
        let size = number(&mut rest)?;
        let (mut content, next) = rest.split_at_checked(size)?;
        rest = next;
        if *section == EXPORTS {
            let count = number(&mut content)?;
            return (0..count).map(|_| export(&mut content)).collect();
        }
    }
    Some(Vec::new())
}

/// A name, then a byte for the kind and a number.
fn export(content: &mut &[u8]) -> Option<String> {
    let length = number(content)?;
    let (name, after) = content.split_at_checked(length)?;
    *content = after.get(1..)?;
    number(content)?;
    String::from_utf8(name.to_vec()).ok()
}

/// An unsigned LEB128 number.
fn number(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0usize;
    for shift in (0..28).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_read_behind_other_sections() {
        let module = b"\0asm\x01\0\0\0\x01\x02..\x07\x0a\x02\x01a\x02\x00\x01b\x00\x81\x01";
        assert_eq!(exports(&module[..]).unwrap(), ["a", "b"]);
        assert_eq!(exports(HEADER), Some(Vec::new()));
        assert_eq!(exports(b"\0asn"), None);
        assert_eq!(exports(&module[..module.len() - 3]), None);
    }
}
