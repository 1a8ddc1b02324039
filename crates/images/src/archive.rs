//! Tars and gzips without times, owners or anything else of the machine that writes them.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};

/// The gzip header's value for "unknown" (RFC 1952, 2.3.1): what wrote it is of no interest.
const UNKNOWN_SYSTEM: u8 = 255;

/// One file, or with a `/` at its name's end one folder.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Where it is in the archive, without a `/` in front.
    pub path: &'a str,
    /// True if it may be started.
    pub executable: bool,
    /// What is in it; nothing for a folder.
    pub content: &'a [u8],
}

/// A tar of these entries, in this order, owned by root, of the first second of 1970.
pub fn tar(entries: &[Entry<'_>]) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let folder = entry.path.ends_with('/');
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(if folder {
            tar::EntryType::Directory
        } else {
            tar::EntryType::Regular
        });
        header.set_mode(if folder || entry.executable {
            0o755
        } else {
            0o644
        });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(entry.content.len() as u64);
        builder.append_data(&mut header, entry.path, entry.content)?;
    }
    builder.into_inner()
}

/// `content`, compressed as far as gzip goes.
pub fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new()
        .mtime(0)
        .operating_system(UNKNOWN_SYSTEM)
        .write(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_tar_says_nothing_of_the_machine() {
        let entries = [
            Entry {
                path: "licenses/",
                executable: false,
                content: b"",
            },
            Entry {
                path: "serin",
                executable: true,
                content: b"program",
            },
        ];
        let archive = tar(&entries).unwrap();
        let mut read = tar::Archive::new(archive.as_slice());
        let mut seen = Vec::new();
        for entry in read.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            let header = entry.header();
            assert_eq!(header.mtime().unwrap(), 0);
            assert_eq!(header.uid().unwrap() + header.gid().unwrap(), 0);
            assert_eq!(header.username().unwrap(), Some(""));
            let path = entry.path().unwrap().display().to_string();
            seen.push((path, header.mode().unwrap(), content));
        }
        assert_eq!(
            seen,
            [
                ("licenses/".to_owned(), 0o755, String::new()),
                ("serin".to_owned(), 0o755, "program".to_owned()),
            ]
        );
    }

    #[test]
    fn a_gzip_has_no_time_and_comes_back_whole() {
        let content = b"the same again and again ".repeat(100);
        let zipped = gzip(&content).unwrap();
        // Bytes 4 to 7 are the time, byte 9 the system (RFC 1952, 2.3).
        assert_eq!(zipped.get(..2), Some(&[0x1f, 0x8b][..]));
        assert_eq!(zipped.get(4..8), Some(&[0; 4][..]));
        assert_eq!(zipped.get(9), Some(&UNKNOWN_SYSTEM));
        let mut read = Vec::new();
        flate2::read::GzDecoder::new(zipped.as_slice())
            .read_to_end(&mut read)
            .unwrap();
        assert_eq!(read, content);
    }
}
