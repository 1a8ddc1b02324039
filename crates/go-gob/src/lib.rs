//! Go's `encoding/gob` for Rust: a stream's messages into serde types, and values back.
//!
//! It knows the wire and nothing of what is sent over it. Bytes from the peer are never trusted:
//! a [`Decoder`] checks a whole value once, in one pass that allocates nothing, against the
//! constants in [`limits`]; reading it afterwards is bounded by what that pass saw.
//!
//! ```
//! use go_gob::{Decoder, Encoder, Progress, TypeId, Types, Value};
//!
//! let mut types = Types::default();
//! let point = types.structure("Point", &[("X", TypeId::INT), ("Name", TypeId::STRING)])?;
//! let value = Value::Struct(vec![(0, Value::Int(22)), (1, Value::string("canary"))]);
//! let stream = Encoder::default().encode(&types, point, &value)?;
//!
//! #[derive(serde::Deserialize, Default)]
//! #[serde(rename_all = "PascalCase", default)]
//! struct Point {
//!     name: String, // fields match by name; unknown ones are skipped
//!     missing: u8,
//! }
//! let mut decoder = Decoder::default();
//! let mut rest = &stream[..];
//! while let Some((message, after)) = go_gob::split_message(rest)? {
//!     rest = after;
//!     if decoder.push(message)? == Progress::Ready {
//!         let point: Point = decoder.value()?.deserialize()?;
//!         assert_eq!((point.name.as_str(), point.missing), ("canary", 0));
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What gob itself can't say: a pointer to zero is sent like nil, and a slice without elements
//! like a nil one. Fields that were not sent are missing, so give structs `#[serde(default)]`.

mod check;
mod de;
mod decoder;
mod definition;
mod encoded;
mod encoder;
mod error;
pub mod limits;
mod types;
mod value;
mod wire;

pub use de::DeserializeError;
pub use decoder::{Decoder, Progress};
pub use encoded::Encoded;
pub use encoder::{EncodeError, Encoder};
pub use error::Error;
pub use types::{Definition, Field, Marshaler, Shape, TypeError, TypeId, Types};
pub use value::{Interface, Value};
pub use wire::{Split, parse_length, split_message};
