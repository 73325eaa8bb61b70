//! Times of the day at which changes may begin: `22:00-05:00`.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Time;

/// From one time of the day to another, over midnight where the second is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    from: Time,
    until: Time,
}

impl Window {
    /// Whether something may begin at this time.
    pub fn contains(&self, time: Time) -> bool {
        match self.from < self.until {
            true => self.from <= time && time < self.until,
            false => self.from <= time || time < self.until,
        }
    }

    /// Whether something may begin now, by this machine's clock and zone.
    pub fn is_open(&self) -> bool {
        self.contains(jiff::Zoned::now().time())
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no window: write 22:00-05:00");
        let time = |text: &str| {
            let (hour, minute) = text.trim().split_once(':').ok_or_else(bad)?;
            let number = |text: &str| text.parse::<i8>().map_err(|_| bad());
            Time::new(number(hour)?, number(minute)?, 0, 0).map_err(|_| bad())
        };
        let (from, until) = text.split_once('-').ok_or_else(bad)?;
        let window = Self { from: time(from)?, until: time(until)? };
        if window.from == window.until {
            return Err(format!("`{text}` begins when it ends: leave it out for the whole day"));
        }
        Ok(window)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from.strftime("%H:%M"), self.until.strftime("%H:%M"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_go_over_midnight() {
        let at = |text: &str, hour, minute| {
            text.parse::<Window>().unwrap().contains(Time::new(hour, minute, 0, 0).unwrap())
        };
        assert!(at("22:00-05:00", 22, 0) && at("22:00-05:00", 4, 59) && at("22:00-05:00", 0, 0));
        assert!(!at("22:00-05:00", 5, 0) && !at("22:00-05:00", 21, 59));
        assert!(at("08:00-17:30", 17, 29) && !at("08:00-17:30", 17, 30) && !at("08:00-17:30", 7, 59));
        assert_eq!("8:00-17:30".parse::<Window>().unwrap().to_string(), "08:00-17:30");
        for bad in ["", "22", "22:00", "22:00-", "25:00-05:00", "5:00-5:00", "-1:00-2:00", "a:b-c:d"] {
            assert!(bad.parse::<Window>().is_err(), "{bad}");
        }
    }
}
