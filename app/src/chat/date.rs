//! A date of a count of milliseconds, in UTC.

/// A moment by the calendar, in UTC.
pub(super) struct Moment {
    year: u64,
    month: u64,
    day: u64,
    second_of_day: u64,
}

impl Moment {
    /// From milliseconds since 1970. None for 0, which stands for a moment that is not known.
    ///
    /// The calendar is Howard Hinnant's `civil_from_days` ("chrono-Compatible Low-Level Date Algorithms", 2013) for days
    /// from 1970 on: years begin in March, so that the day that is sometimes missing is their last, and eras of 400 years
    /// are all alike.
    pub fn of(milliseconds: u64) -> Option<Self> {
        if milliseconds == 0 {
            return None;
        }
        let seconds = milliseconds / 1000;
        let days = seconds / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        Some(Self { year, month, day, second_of_day: seconds % 86_400 })
    }

    fn clock(&self) -> (u64, u64, u64) {
        (self.second_of_day / 3600, self.second_of_day / 60 % 60, self.second_of_day % 60)
    }

    /// `2026-11-26 16:43 UTC`.
    pub fn for_people(&self) -> String {
        let (hour, minute, _) = self.clock();
        format!("{:04}-{:02}-{:02} {hour:02}:{minute:02} UTC", self.year, self.month, self.day)
    }

    /// `2026-11-26T16:43:50Z`, as RFC 3339 has it.
    pub fn for_programs(&self) -> String {
        let (hour, minute, second) = self.clock();
        format!("{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::Moment;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // Seconds as `date -u -d <date> +%s` gives them: around leap days, ends of years, and 2038.
        let known = [
            (1, "1970-01-01T00:00:01Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_795_711_430, "2026-11-26T16:43:50Z"),
            (2_147_483_648, "2038-01-19T03:14:08Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, text) in known {
            assert_eq!(Moment::of(seconds * 1000).unwrap().for_programs(), text);
        }
        assert_eq!(Moment::of(1_795_711_430_999).unwrap().for_people(), "2026-11-26 16:43 UTC");
        assert!(Moment::of(0).is_none());
        // Nothing overflows.
        assert!(Moment::of(u64::MAX).is_some());
    }
}
