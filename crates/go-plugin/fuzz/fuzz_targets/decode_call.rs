//! A stream of calls, as a host writes it: headers and arguments, read in every way that there is.
#![no_main]

use argo_rollouts::{SetHeaderArgs, SetWeightAndVerifyWeightArgs};
use go_gob::{Decoder, Encoder, Progress, split_message};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;

/// Go's `rpc.Request`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
#[allow(dead_code)]
struct Request {
    service_method: String,
    seq: u64,
}

fuzz_target!(|stream: &[u8]| {
    let mut decoder = Decoder::default();
    let mut rest = stream;
    while let Ok(Some((message, after))) = split_message(rest) {
        rest = after;
        match decoder.push(message) {
            Ok(Progress::Ready) => read(&decoder),
            Ok(Progress::NeedMore) => {}
            Err(_) => return,
        }
    }
});

fn read(decoder: &Decoder) {
    let encoded = decoder.value().expect("ready");
    let _ = encoded.interface_name();
    let _ = encoded.deserialize::<Request>().map_err(|e| e.to_string());
    let _ = encoded
        .deserialize::<SetWeightAndVerifyWeightArgs>()
        .map_err(|e| e.to_string());
    let _ = encoded.deserialize::<SetHeaderArgs>();
    let ignored = encoded.deserialize::<serde::de::IgnoredAny>();
    ignored.expect("what was checked can be passed over");
    let value = encoded.to_value().expect("what was checked can be read");

    // Written and read again it is the same; Debug, since a NaN is not equal to itself.
    let Ok(stream) = Encoder::default().encode(decoder.types(), encoded.type_id(), &value) else {
        return;
    };
    let mut again = Decoder::default();
    let mut rest = &stream[..];
    while let Ok(Some((message, after))) = split_message(rest) {
        rest = after;
        match again.push(message) {
            Ok(Progress::Ready) => {
                let read = again.value().expect("ready").to_value().expect("read");
                assert_eq!(format!("{read:?}"), format!("{value:?}"));
                return;
            }
            Ok(Progress::NeedMore) => {}
            Err(error) => panic!("own stream refused: {error}"),
        }
    }
    panic!("own stream incomplete");
}
