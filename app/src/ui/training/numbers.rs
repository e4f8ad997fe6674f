//! Numbers as people read them.

use crate::language::Language;

/// A count, its thousands apart.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A value with about four digits that count; very large and very small ones by their power of ten.
pub fn value(value: f64) -> String {
    let size = value.abs();
    match size {
        0.0 => "0".to_owned(),
        _ if !(1e-3..1e6).contains(&size) => format!("{value:.2e}"),
        _ if size >= 1000.0 => format!("{value:.0}"),
        _ if size >= 100.0 => format!("{value:.1}"),
        _ if size >= 10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A mark of an axis: as short as tells it from its neighbours, which are `step` away.
pub fn mark(value: f64, step: f64) -> String {
    let size = value.abs().max(step);
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e6).contains(&size) {
        let power = size.log10().floor();
        let digits = (power - step.log10().floor()).clamp(0.0, 4.0) as usize;
        return format!("{value:.digits$e}");
    }
    let digits = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.digits$}")
}

/// A share of a whole.
pub fn percent(fraction: f64) -> String {
    format!("{:.0}%", 100.0 * fraction)
}

/// Bytes, in megabytes or gigabytes.
pub fn bytes(bytes: u64) -> String {
    let megabytes = bytes as f64 / 1e6;
    if megabytes < 1000.0 { format!("{megabytes:.0} MB") } else { format!("{:.1} GB", megabytes / 1000.0) }
}

/// A time in its two largest units.
pub fn duration(seconds: f64, language: Language) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    let (minute, hour, day) = (60, 3600, 86_400);
    let two = |large: u64, small: u64, english: [&str; 2], chinese: [&str; 2]| {
        let [large_unit, small_unit] = language.pick(english, chinese);
        let (space, between) = language.pick((" ", " "), ("", ""));
        match small {
            0 => format!("{large}{space}{large_unit}"),
            _ => format!("{large}{space}{large_unit}{between}{small}{space}{small_unit}"),
        }
    };
    match seconds {
        _ if seconds < minute => two(seconds, 0, ["s", ""], ["秒", ""]),
        _ if seconds < hour => two(seconds / minute, seconds % minute, ["min", "s"], ["分", "秒"]),
        _ if seconds < day => two(seconds / hour, seconds % hour / minute, ["h", "min"], ["小时", "分"]),
        _ => two(seconds / day, seconds % day / hour, ["d", "h"], ["天", "小时"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_values() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let values = [0.0, 2e-4, 0.5, 1.23456, 12.3456, 123.456, 8102.4, 3.2e7, -0.25];
        let texts = ["0", "2.00e-4", "0.500", "1.235", "12.35", "123.5", "8102", "3.20e7", "-0.250"];
        assert_eq!(values.map(value), texts);
        assert_eq!(
            (percent(0.333), bytes(812_000_000), bytes(1_500_000_000)),
            ("33%".into(), "812 MB".into(), "1.5 GB".into())
        );
    }

    #[test]
    fn marks_are_as_long_as_they_must_be() {
        assert_eq!(mark(2.5, 0.5), "2.5");
        assert_eq!(mark(0.0, 0.5), "0");
        assert_eq!(mark(1500.0, 500.0), "1500");
        assert_eq!(mark(2e-4, 1e-4), "2e-4");
        assert_eq!(mark(1.5e-4, 5e-5), "1.5e-4");
        assert_eq!(mark(0.125, 0.025), "0.12");
    }

    #[test]
    fn durations_in_both_languages() {
        let english = [4.2, 60.0, 125.0, 7500.0, 90_000.0].map(|seconds| duration(seconds, Language::English));
        assert_eq!(english, ["4 s", "1 min", "2 min 5 s", "2 h 5 min", "1 d 1 h"]);
        assert_eq!(duration(7500.0, Language::Chinese), "2小时5分");
    }
}
