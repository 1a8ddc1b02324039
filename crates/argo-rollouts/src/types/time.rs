//! Kubernetes' time: RFC 3339 in the API, Go's binary form in a call.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};
use thiserror::Error as ThisError;

/// A moment in UTC. Go's `metav1.Time`; printed in whole seconds, as Go marshals it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Seconds since 1970-01-01T00:00:00Z, negative before.
    pub unix_seconds: i64,
    /// Nanoseconds within the second. The API has none, the controller's own clock does.
    pub nanoseconds: u32,
}

/// Why a text or bytes are no [`Time`].
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum ParseTimeError {
    /// Not of the form `2006-01-02T15:04:05Z` with an optional fraction and offset.
    #[error("{0:?} is no RFC 3339 time")]
    Text(Box<str>),
    /// Not what Go's `time.Time.MarshalBinary` writes.
    #[error("{length} bytes that begin with version {version} are no Go time")]
    Binary {
        /// Number of bytes.
        length: usize,
        /// The first byte, 0 if there is none.
        version: u8,
    },
}

const SECONDS_PER_DAY: i64 = 86_400;
/// Seconds from 0001-01-01, where Go counts from, to 1970-01-01 (Go `time.unixToInternal`).
const GO_EPOCH_TO_UNIX: i64 = 62_135_596_800;
const NANOSECONDS_PER_SECOND: u32 = 1_000_000_000;

impl Time {
    /// Reads Go's binary form: version, seconds and nanoseconds big-endian, zone offset (which
    /// says nothing about the moment). Go `time/time.go`, `UnmarshalBinary`.
    pub fn from_go_binary(bytes: &[u8]) -> Result<Self, ParseTimeError> {
        let fail = || ParseTimeError::Binary {
            length: bytes.len(),
            version: bytes.first().copied().unwrap_or_default(),
        };
        let (version, rest) = bytes.split_first().ok_or_else(fail)?;
        let (seconds, rest) = rest.split_first_chunk::<8>().ok_or_else(fail)?;
        let (nanoseconds, zone) = rest.split_first_chunk::<4>().ok_or_else(fail)?;
        // Version 2 adds a byte for offsets with seconds in them.
        if !matches!((version, zone.len()), (1, 2) | (2, 3)) {
            return Err(fail());
        }
        let nanoseconds = u32::from_be_bytes(*nanoseconds);
        if nanoseconds >= NANOSECONDS_PER_SECOND {
            return Err(fail());
        }
        let unix_seconds = i64::from_be_bytes(*seconds)
            .checked_sub(GO_EPOCH_TO_UNIX)
            .ok_or_else(fail)?;
        Ok(Self {
            unix_seconds,
            nanoseconds,
        })
    }
}

impl From<Time> for SystemTime {
    /// Moments that the system's clock can't hold become its epoch.
    fn from(time: Time) -> Self {
        let whole = Duration::from_secs(time.unix_seconds.unsigned_abs());
        let base = if time.unix_seconds < 0 {
            UNIX_EPOCH.checked_sub(whole)
        } else {
            UNIX_EPOCH.checked_add(whole)
        };
        base.and_then(|base| base.checked_add(Duration::from_nanos(time.nanoseconds.into())))
            .unwrap_or(UNIX_EPOCH)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.unix_seconds.div_euclid(SECONDS_PER_DAY));
        let second = self.unix_seconds.rem_euclid(SECONDS_PER_DAY);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    }
}

impl FromStr for Time {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        parse_rfc3339(text).ok_or_else(|| ParseTimeError::Text(text.into()))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EitherForm)
    }
}

struct EitherForm;

impl Visitor<'_> for EitherForm {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an RFC 3339 time or Go's binary time")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Time, E> {
        Time::from_go_binary(bytes).map_err(E::custom)
    }
}

fn parse_rfc3339(text: &str) -> Option<Time> {
    let (date, clock) = text.split_once(['T', 't'])?;
    let mut date = date.split('-').map(digits);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let zone_at = clock.rfind(['Z', 'z', '+', '-'])?;
    let (clock, zone) = clock.split_at_checked(zone_at)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.split(':').map(digits);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let valid = date.next().is_none()
        && clock.next().is_none()
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !valid {
        return None;
    }
    let days = days_from_civil(year, month, day);
    // A day that its month doesn't have lands in the next month.
    if civil_from_days(days) != (year, month, day) {
        return None;
    }
    Some(Time {
        unix_seconds: days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset(zone)?,
        nanoseconds: nanoseconds(fraction)?,
    })
}

/// A run of one to four digits.
fn digits(text: &str) -> Option<i64> {
    let plain = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

/// Seconds east of UTC.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, zone) = zone.split_at_checked(1)?;
    let (hours, minutes) = zone.split_once(':')?;
    let seconds = digits(hours)? * 3600 + digits(minutes)? * 60;
    Some(if sign == "-" { -seconds } else { seconds })
}

/// Digits after the point, beyond nine cut off.
fn nanoseconds(fraction: &str) -> Option<u32> {
    let mut value = 0;
    let mut unit = NANOSECONDS_PER_SECOND / 10;
    for digit in fraction.chars() {
        value += digit.to_digit(10)? * unit;
        unit /= 10;
    }
    Some(value)
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar. Years begin in March here,
/// so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The reverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_round_trips() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-03-06T17:41:09Z", 1_772_818_869),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("1969-12-31T23:59:59Z", -1),
            ("0001-01-01T00:00:00Z", -GO_EPOCH_TO_UNIX),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            let time: Time = text.parse().unwrap();
            assert_eq!(time.unix_seconds, seconds, "{text}");
            assert_eq!(time.to_string(), text);
        }
    }

    #[test]
    fn offsets_and_fractions_count() {
        let time: Time = "2026-03-06T19:41:09.25+02:00".parse().unwrap();
        assert_eq!(
            (time.unix_seconds, time.nanoseconds),
            (1_772_818_869, 250_000_000)
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "T",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-03-06T24:00:00Z",
            "2026-03-06T00:00:00",
            "2026-03-06T00:00:00+0é",
            "2026-03-06T00:00:00.xZ",
            "+026-03-06T00:00:00Z",
        ] {
            assert_eq!(
                text.parse::<Time>(),
                Err(ParseTimeError::Text(text.into())),
                "{text}"
            );
        }
    }

    #[test]
    fn go_binary_reads_as_the_same_moment() {
        // Go: time.Unix(1772818869, 5).In(time.FixedZone("", 7200)).MarshalBinary()
        let mut bytes = vec![1];
        bytes.extend((1_772_818_869 + GO_EPOCH_TO_UNIX).to_be_bytes());
        bytes.extend(5_u32.to_be_bytes());
        bytes.extend(120_i16.to_be_bytes());
        let time = Time::from_go_binary(&bytes).unwrap();
        assert_eq!((time.unix_seconds, time.nanoseconds), (1_772_818_869, 5));
        assert_eq!(
            Time::from_go_binary(&bytes[..14]),
            Err(ParseTimeError::Binary {
                length: 14,
                version: 1
            })
        );
        assert!(Time::from_go_binary(&[]).is_err());
    }
}
