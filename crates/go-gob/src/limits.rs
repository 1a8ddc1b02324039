//! What a peer may ask for. Every length, count and depth is held against one of these before
//! anything is allocated for it.
//!
//! Together they bound the memory of one stream: the bytes of one value
//! ([`MESSAGE_BYTES`]), its type definitions (at most [`DEFINITION_BYTES`] on the wire, and fifty
//! times that in memory), and [`VALUES`] times the size of what the caller reads elements into.

/// Bytes of one message, and of one value that spans several. etcd refuses objects above 1.5 MiB
/// by default, and gob is denser than the JSON kept there.
pub const MESSAGE_BYTES: usize = 16 << 20;

/// Values within one value: every field, element, key and entry. A Rollout of etcd's greatest size
/// holds about a tenth of it.
pub const VALUES: usize = 1 << 18;

/// Nesting of values. Each level costs stack when read, and Go's own types stay below 30.
pub const DEPTH: usize = 128;

/// The greatest type id, and so the size of the type table. Go numbers types from 64 on, one
/// counter for the whole process.
pub const TYPE_ID: usize = 1 << 16;

/// Bytes of all type definitions on one stream. A Rollout with its pod template has some 20 KiB.
pub const DEFINITION_BYTES: usize = 1 << 20;

/// Fields of one struct. The widest that a Rollout brings along has 40.
pub const FIELDS: usize = 1 << 12;
