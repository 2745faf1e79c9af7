//! The functions of Prometheus' rule templates (prometheus/template).

use std::sync::Arc;

use gameday_signal::{Labels, Timestamp, parse_duration};
use regex::Regex;

use crate::functions::text;
use crate::text::{parse_go_float, query_escape, title};
use crate::{
    FunctionSet, Host, Param, SafeKind, Signature, Time, Value, humanize, humanize_1024,
    humanize_duration, humanize_percentage, humanize_timestamp,
};

/// The name of the struct that a query gives a list of.
const SAMPLE: &str = "template.sample";
const SAMPLE_PARAM: Param = Param::Struct("*template.sample");
const ANY: Param = Param::Any;
const STRING: Param = Param::String;

/// One element of the result of `query`.
#[derive(Clone, Debug, PartialEq)]
pub struct QuerySample {
    /// Its labels, the metric name included.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// Evaluates an expression at a time, for the function `query`.
pub type QueryFunction<'a> = dyn Fn(&str, Timestamp) -> Result<Vec<QuerySample>, String> + 'a;

/// What the templates of one rule at one evaluation can call.
#[derive(Clone, Copy)]
pub struct PrometheusFunctions<'a> {
    /// The time of the evaluation.
    pub now: Timestamp,
    /// Where users reach the server, for `externalURL` and `pathPrefix`.
    pub external_url: &'a str,
    /// Evaluates an expression at the time of the evaluation.
    pub query: &'a QueryFunction<'a>,
    /// Whether `tmpl` is there: consoles have it, rules do not.
    pub consoles: bool,
}

pub(crate) const SIGNATURES: &[Signature] = &[
    Signature::variadic("args", &[], ANY),
    Signature::new("externalURL", &[]),
    Signature::new("first", &[Param::List]),
    Signature::new("graphLink", &[STRING]),
    Signature::new("humanize", &[ANY]),
    Signature::new("humanize1024", &[ANY]),
    Signature::new("humanizeDuration", &[ANY]),
    Signature::new("humanizePercentage", &[ANY]),
    Signature::new("humanizeTimestamp", &[ANY]),
    Signature::new("label", &[STRING, SAMPLE_PARAM]),
    Signature::new("match", &[STRING, STRING]),
    Signature::new("now", &[]),
    Signature::new("parseDuration", &[STRING]),
    Signature::new("pathPrefix", &[]),
    Signature::new("query", &[STRING]),
    Signature::new("reReplaceAll", &[STRING, STRING, STRING]),
    Signature::new("safeHtml", &[STRING]),
    Signature::new("sortByLabel", &[STRING, Param::List]),
    Signature::new("stripDomain", &[STRING]),
    Signature::new("stripPort", &[STRING]),
    Signature::new("strvalue", &[SAMPLE_PARAM]),
    Signature::new("tableLink", &[STRING]),
    Signature::new("title", &[STRING]),
    Signature::new("toDuration", &[ANY]),
    Signature::new("toLower", &[STRING]),
    Signature::new("toTime", &[ANY]),
    Signature::new("toUpper", &[STRING]),
    Signature::new("urlQueryEscape", &[STRING]),
    Signature::new("value", &[SAMPLE_PARAM]),
];

const TMPL: Signature = Signature::new("tmpl", &[STRING, ANY]);

impl FunctionSet for PrometheusFunctions<'_> {
    fn dialect(&self) -> &'static str {
        "Prometheus"
    }

    fn signatures(&self) -> &'static [Signature] {
        SIGNATURES
    }

    fn signature(&self, name: &str) -> Option<&'static Signature> {
        if name == TMPL.name {
            static CONSOLE: Signature = TMPL;
            return self.consoles.then_some(&CONSOLE);
        }
        SIGNATURES.iter().find(|signature| signature.name == name)
    }

    fn call(&self, name: &str, arguments: &[Value], host: &mut dyn Host) -> Result<Value, String> {
        let first = arguments.first().unwrap_or(&Value::Nil);
        let first_text = || text(arguments, 0);
        Ok(match name {
            "args" => Value::any_map(
                arguments
                    .iter()
                    .enumerate()
                    .map(|(index, value)| (format!("arg{index}"), value.clone())),
            ),
            "externalURL" => Value::text(self.external_url),
            "first" => first
                .as_list()
                .and_then(<[Value]>::first)
                .cloned()
                .ok_or_else(|| "first() called on vector with no elements".to_owned())?,
            "graphLink" => Value::from(link(first_text(), 0)),
            "tableLink" => Value::from(table_link(first_text())),
            "humanize" => Value::from(humanize(to_float(first)?)),
            "humanize1024" => Value::from(humanize_1024(to_float(first)?)),
            "humanizeDuration" => Value::from(humanize_duration(to_float(first)?)),
            "humanizePercentage" => Value::from(humanize_percentage(to_float(first)?)),
            "humanizeTimestamp" => Value::from(humanize_timestamp(to_float(first)?)?),
            "label" => sample_label(arguments.get(1), first_text()),
            "match" => Value::Bool(regex(first_text())?.is_match(text(arguments, 1))),
            "now" => Value::Float(self.now.as_millis() as f64 / 1000.0),
            "parseDuration" => Value::Float(
                parse_signed_duration(first_text()).map_err(|error| error.to_string())?,
            ),
            "pathPrefix" => Value::text(url_path(self.external_url)),
            "query" => {
                let samples = (self.query)(first_text(), self.now)?;
                Value::list(samples.iter().map(sample_value))
            }
            "reReplaceAll" => re_replace_all(arguments)?,
            "safeHtml" => Value::Safe(SafeKind::Html, Arc::from(first_text())),
            "sortByLabel" => sort_by_label(first_text(), arguments.get(1)),
            "stripDomain" => Value::from(strip_domain(first_text())),
            "stripPort" => {
                Value::text(split_host_port(first_text()).map_or(first_text(), |(host, _)| host))
            }
            "strvalue" => sample_label(Some(first), "__value__"),
            "title" => Value::from(title(first_text())),
            "tmpl" => {
                let data = arguments.get(1).unwrap_or(&Value::Nil);
                let rendered = host.render(first_text(), data)?;
                Value::Safe(SafeKind::Html, Arc::from(rendered))
            }
            "toDuration" => {
                let nanos = to_float(first)? * 1e9;
                if !nanos.is_finite() || nanos.abs() > i64::MAX as f64 {
                    return Err("value is NaN or Inf".to_owned());
                }
                Value::Duration(nanos as i64)
            }
            "toLower" => Value::from(first_text().to_lowercase()),
            "toTime" => Value::Time(Time::from_secs_f64(to_float(first)?)?),
            "toUpper" => Value::from(first_text().to_uppercase()),
            "urlQueryEscape" => Value::from(query_escape(first_text())),
            "value" => field(first, "Value").unwrap_or(Value::Float(0.0)),
            other => return Err(format!("{other:?} is not a defined function")),
        })
    }
}

/// A number for the `humanize` functions (prometheus/common's ConvertToFloat).
pub(crate) fn to_float(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Int(number) => Ok(*number as f64),
        Value::Duration(nanos) => Ok(*nanos as f64 / 1e9),
        Value::Str(text) => parse_go_float(text).ok_or_else(|| {
            format!(
                "strconv.ParseFloat: parsing {}: invalid syntax",
                crate::text::quote(text)
            )
        }),
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}

/// A regular expression of a template, limited in size.
pub(crate) fn regex(pattern: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(pattern)
        .size_limit(REGEX_SIZE_LIMIT)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            let reason = reason.trim_start_matches("error: ");
            format!("error parsing regexp: {reason}: `{pattern}`")
        })
}

/// A compiled pattern may take this many bytes.
const REGEX_SIZE_LIMIT: usize = 1 << 20;

/// `reReplaceAll pattern replacement text`.
pub(crate) fn re_replace_all(arguments: &[Value]) -> Result<Value, String> {
    let pattern = text(arguments, 0);
    // The pattern comes from regexp.MustCompile in Go, which says so.
    let regex = regex(pattern).map_err(|error| format!("regexp: Compile(`{pattern}`): {error}"))?;
    let replaced = regex.replace_all(text(arguments, 2), text(arguments, 1));
    // A replacement of one character by many, many times over, must not fill the memory.
    if replaced.len() > REGEX_SIZE_LIMIT {
        return Err(format!("the result has more than {REGEX_SIZE_LIMIT} bytes"));
    }
    Ok(Value::from(replaced.into_owned()))
}

fn sample_value(sample: &QuerySample) -> Value {
    Value::structure(
        SAMPLE,
        [
            ("Labels", Value::labels(&sample.labels)),
            ("Value", Value::Float(sample.value)),
        ],
    )
}

fn field(value: &Value, name: &str) -> Option<Value> {
    match value {
        Value::Struct(fields) => fields
            .fields
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value.clone()),
        _ => None,
    }
}

fn sample_label(sample: Option<&Value>, label: &str) -> Value {
    match sample.and_then(|sample| field(sample, "Labels")) {
        Some(Value::Map(labels)) => labels
            .entries
            .get(label)
            .cloned()
            .unwrap_or_else(|| Value::text("")),
        _ => Value::text(""),
    }
}

fn sort_by_label(label: &str, samples: Option<&Value>) -> Value {
    let mut samples = samples
        .and_then(Value::as_list)
        .unwrap_or_default()
        .to_vec();
    samples.sort_by_cached_key(|sample| {
        let value = sample_label(Some(sample), label);
        value.as_str().unwrap_or_default().to_owned()
    });
    Value::list(samples)
}

/// The link to the table of an expression, below the server's external URL (strutil.TableLinkForExpression).
pub fn table_link(expression: &str) -> String {
    link(expression, 1)
}

/// strutil.GraphLinkForExpression and TableLinkForExpression.
fn link(expression: &str, tab: u8) -> String {
    format!("/graph?g0.expr={}&g0.tab={tab}", query_escape(expression))
}

/// Seconds of a Prometheus duration, which may be negative here.
fn parse_signed_duration(text: &str) -> Result<f64, gameday_signal::DurationError> {
    match text.strip_prefix('-') {
        Some(rest) => parse_duration(rest).map(|duration| -duration.as_secs_f64()),
        None => parse_duration(text).map(|duration| duration.as_secs_f64()),
    }
}

/// The path of a URL.
fn url_path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').map_or("", |slash| &rest[slash..]);
    &path[..path.find(['?', '#']).unwrap_or(path.len())]
}

/// Go's net.SplitHostPort.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    if let Some(inner) = text.strip_prefix('[') {
        let (host, rest) = inner.split_once(']')?;
        let port = rest.strip_prefix(':')?;
        return (!port.contains(':')).then_some((host, port));
    }
    let (host, port) = text.rsplit_once(':')?;
    (!host.contains(':')).then_some((host, port))
}

/// The first part of a host name, with its port; addresses stay as they are.
fn strip_domain(text: &str) -> String {
    let (host, port) = split_host_port(text).unwrap_or((text, ""));
    if host.parse::<std::net::IpAddr>().is_ok() {
        return text.to_owned();
    }
    let name = host.split('.').next().unwrap_or_default();
    match port {
        "" => name.to_owned(),
        port if name.contains(':') => format!("[{name}]:{port}"),
        port => format!("{name}:{port}"),
    }
}
