//! Nanoseconds since the epoch, written as RFC 3339 in UTC.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

const NANOSECONDS: u64 = 1_000_000_000;
const DAY: u64 = 86_400;

/// Returns the current time in nanoseconds since the epoch.
pub fn now() -> u64 {
    // A clock before 1970 or after 2554 is wrong: return the epoch, which shows it.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|time| u64::try_from(time.as_nanos()).ok())
        .unwrap_or(0)
}

/// Writes timestamps. Formats the date once for all timestamps of one second.
#[derive(Default)]
pub struct Formatter {
    second: Option<u64>,
    date: String,
}

impl Formatter {
    /// Writes one timestamp.
    pub fn write(&mut self, out: &mut impl Write, timestamp: u64) -> io::Result<()> {
        let second = timestamp / NANOSECONDS;
        if self.second != Some(second) {
            self.date = date(second);
            self.second = Some(second);
        }
        write!(out, "{}.{:09}Z", self.date, timestamp % NANOSECONDS)
    }
}

/// Returns one timestamp in a readable form: a space instead of `T`, and only the groups of three digits that are needed.
pub fn readable(timestamp: u64) -> String {
    let date = date(timestamp / NANOSECONDS).replace('T', " ");
    let nanoseconds = timestamp % NANOSECONDS;
    match nanoseconds {
        0 => format!("{date}Z"),
        _ if nanoseconds.is_multiple_of(1_000_000) => format!("{date}.{:03}Z", nanoseconds / 1_000_000),
        _ if nanoseconds.is_multiple_of(1_000) => format!("{date}.{:06}Z", nanoseconds / 1_000),
        _ => format!("{date}.{nanoseconds:09}Z"),
    }
}

fn date(second: u64) -> String {
    let (year, month, day) = civil(second / DAY);
    let time = second % DAY;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
        time / 3600,
        time / 60 % 60,
        time % 60
    )
}

/// Year, month and day of a number of days since the epoch, counted in eras of 400 years that begin on 1 March, so that
/// the leap day is the last day of a year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(timestamp: u64) -> String {
        let mut out = Vec::new();
        Formatter::default().write(&mut out, timestamp).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(format(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(format(951_782_400_000_000_001), "2000-02-29T00:00:00.000000001Z");
        assert_eq!(format(1_735_689_599_999_999_999), "2024-12-31T23:59:59.999999999Z");
        assert_eq!(format(4_107_542_400_000_000_000), "2100-03-01T00:00:00.000000000Z");
        for (time, expected) in [
            (0, "1970-01-01 00:00:00Z"),
            (1_500_000_000, "1970-01-01 00:00:01.500Z"),
            (1_000_010_000, "1970-01-01 00:00:01.000010Z"),
            (1_000_000_001, "1970-01-01 00:00:01.000000001Z"),
        ] {
            assert_eq!(readable(time), expected);
        }
        assert_eq!(format(u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }
}
