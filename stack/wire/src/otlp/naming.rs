//! Names of OpenTelemetry as names of Prometheus (opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics; the units
//! are those of Prometheus 3's OTLP receiver).

use super::metrics::Translation;

/// What decides about the suffixes of a metric's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    MonotonicCounter,
    Gauge,
    Other,
}

/// UCUM units by Prometheus' words; `1` has none.
const UNITS: [(&str, &str); 28] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("kBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
    ("kg", "kilograms"),
];

/// The units behind a `/`.
const PER_UNITS: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// The name of a metric family: `http.server.duration` in `s` is `http_server_duration_seconds`, a monotonic sum ends in `_total`, a
/// gauge in `1` ends in `_ratio`.
pub(super) fn metric_name(
    name: &str,
    unit: &str,
    shape: Shape,
    translation: Translation,
) -> Result<String, String> {
    let translated = match translation {
        Translation::UnderscoreEscapingWithSuffixes => with_suffixes(name, unit, shape),
        Translation::UnderscoreEscapingWithoutSuffixes => {
            let tokens: Vec<&str> = name
                .split(|character: char| {
                    !(character.is_ascii_alphanumeric() || matches!(character, '_' | ':'))
                })
                .filter(|token| !token.is_empty())
                .collect();
            digit_prefixed(tokens.join("_"))
        }
        Translation::NoUtf8EscapingWithSuffixes => utf8_with_suffixes(name, unit, shape),
        Translation::NoTranslation => name.to_owned(),
    };
    if translated.bytes().all(|byte| byte == b'_') && translated != name || translated.is_empty() {
        return Err(format!("metric {name:?} has no usable name"));
    }
    Ok(translated)
}

fn digit_prefixed(name: String) -> String {
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}

fn with_suffixes(name: &str, unit: &str, shape: Shape) -> String {
    let mut tokens: Vec<String> = name
        .split(|character: char| !(character.is_ascii_alphanumeric() || character == ':'))
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
        .collect();
    let (main, per) = unit_suffixes(unit);
    let (mut main, per) = (clean_unit(&main), clean_unit(&per));
    if tokens.contains(&main) {
        main.clear();
    }
    let mut per = per.trim_end_matches('_').to_owned();
    if per == "per" || tokens.contains(&per) {
        per.clear();
    }
    if !per.is_empty() {
        main = main.trim_end_matches('_').to_owned();
    }
    tokens.extend([main, per].into_iter().filter(|token| !token.is_empty()));
    let last = match shape {
        Shape::MonotonicCounter => Some("total"),
        Shape::Gauge if unit == "1" => Some("ratio"),
        Shape::Gauge | Shape::Other => None,
    };
    if let Some(last) = last {
        tokens.retain(|token| token != last);
        tokens.push(last.to_owned());
    }
    digit_prefixed(tokens.join("_"))
}

fn utf8_with_suffixes(name: &str, unit: &str, shape: Shape) -> String {
    let trimmed = |name: &str, suffix: &str| -> String {
        match name.strip_suffix(suffix) {
            // One byte before the suffix is taken for its delimiter.
            Some(rest) if rest.len() > 1 && rest.is_char_boundary(rest.len() - 1) => {
                rest[..rest.len() - 1].to_owned()
            }
            _ => name.to_owned(),
        }
    };
    let mut name = name.to_owned();
    let mut suffixes = Vec::new();
    if unit == "1" && shape == Shape::Gauge {
        name = trimmed(&name, "ratio");
        suffixes.push("ratio".to_owned());
    }
    if shape == Shape::MonotonicCounter {
        name = trimmed(&name, "total");
        suffixes.push("total".to_owned());
    }
    let (main, per) = unit_suffixes(unit);
    if !per.is_empty() {
        name = trimmed(&name, &per);
        suffixes.push(per);
    }
    if !main.is_empty() && !name.ends_with(&main) {
        suffixes.push(main);
    }
    for suffix in suffixes.into_iter().rev() {
        name.push('_');
        name.push_str(&suffix);
    }
    name
}

/// The suffixes for the part before and behind the `/`; parts in braces are annotations and have none.
fn unit_suffixes(unit: &str) -> (String, String) {
    let word = |part: &str, table: &[(&str, &str)]| -> String {
        let part = part.trim();
        if part.contains(['{', '}']) {
            return String::new();
        }
        table
            .iter()
            .find(|(short, _)| *short == part)
            .map_or(part, |(_, long)| long)
            .to_owned()
    };
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let per = word(per, &PER_UNITS);
    (
        word(main, &UNITS),
        if per.is_empty() {
            per
        } else {
            format!("per_{per}")
        },
    )
}

/// Underscores for all that no name may hold, one for many, none in front.
fn clean_unit(unit: &str) -> String {
    let mut clean = String::with_capacity(unit.len());
    for character in unit.chars() {
        let valid = character.is_ascii_alphanumeric() || character == ':';
        if valid {
            clean.push(character);
        } else if !clean.ends_with('_') {
            clean.push('_');
        }
    }
    clean.trim_start_matches('_').to_owned()
}

/// The unit in the metadata of a family: `By/s` is `bytes_per_second`.
pub(super) fn unit_name(unit: &str) -> String {
    let (main, per) = unit_suffixes(unit);
    let joined = [clean_unit(&main), clean_unit(&per)]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("_");
    joined.trim_matches('_').to_owned()
}

/// The name of a label: `http.method` is `http_method`, `1st` is `key_1st`, `_x` is `key_x`; none where nothing usable is left.
pub(super) fn label_name(name: &str, translation: Translation) -> Option<String> {
    if matches!(
        translation,
        Translation::NoUtf8EscapingWithSuffixes | Translation::NoTranslation
    ) {
        return (!name.is_empty()).then(|| name.to_owned());
    }
    let clean: String = name
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '_'
            }
        })
        .collect();
    if clean.starts_with(|first: char| first.is_ascii_digit()) {
        return Some(format!("key_{clean}"));
    }
    if clean.bytes().all(|byte| byte == b'_') {
        // Nothing to tell it by.
        return (clean == name && !clean.is_empty()).then_some(clean);
    }
    if clean.starts_with('_') && !clean.starts_with("__") {
        return Some(format!("key{clean}"));
    }
    Some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_metrics_as_prometheus_does() {
        use Shape::{Gauge, MonotonicCounter, Other};
        for (name, unit, shape, expected) in [
            (
                "http.server.duration",
                "s",
                Other,
                "http_server_duration_seconds",
            ),
            (
                "http.server.duration.seconds",
                "s",
                Other,
                "http_server_duration_seconds",
            ),
            (
                "requests.count",
                "1",
                MonotonicCounter,
                "requests_count_total",
            ),
            (
                "requests.total.count",
                "",
                MonotonicCounter,
                "requests_count_total",
            ),
            ("memory.usage", "By", Gauge, "memory_usage_bytes"),
            ("cpu.use", "1", Gauge, "cpu_use_ratio"),
            ("speed", "m/s", Gauge, "speed_meters_per_second"),
            ("queue.size", "{items}", Gauge, "queue_size"),
            ("rate", "{items}/s", Gauge, "rate_per_second"),
            ("io", "foo/bar", Gauge, "io_foo_per_bar"),
            ("cpu", "%", Gauge, "cpu_percent"),
            ("1st", "", Gauge, "_1st"),
            ("a__b--c", "", Gauge, "a_b_c"),
            ("a:b", "", Gauge, "a:b"),
        ] {
            assert_eq!(
                metric_name(
                    name,
                    unit,
                    shape,
                    Translation::UnderscoreEscapingWithSuffixes
                ),
                Ok(expected.to_owned())
            );
        }
        assert!(
            metric_name(
                "---",
                "",
                Gauge,
                Translation::UnderscoreEscapingWithSuffixes
            )
            .is_err()
        );
        let utf8 = Translation::NoUtf8EscapingWithSuffixes;
        assert_eq!(
            metric_name("http.requests", "By", MonotonicCounter, utf8),
            Ok("http.requests_bytes_total".to_owned())
        );
        let plain = Translation::UnderscoreEscapingWithoutSuffixes;
        assert_eq!(
            metric_name("a.b_c", "s", Other, plain),
            Ok("a_b_c".to_owned())
        );
    }

    #[test]
    fn names_labels_as_prometheus_does() {
        let escape = Translation::UnderscoreEscapingWithSuffixes;
        for (name, expected) in [
            ("http.method", Some("http_method")),
            ("1st", Some("key_1st")),
            ("_x", Some("key_x")),
            ("__x", Some("__x")),
            ("é", None),
            ("", None),
        ] {
            assert_eq!(label_name(name, escape).as_deref(), expected);
        }
        assert_eq!(
            label_name("http.method", Translation::NoTranslation).as_deref(),
            Some("http.method")
        );
        assert_eq!(unit_name("By/s"), "bytes_per_second");
        assert_eq!(unit_name("1"), "");
    }
}
