//! The dns prober: a query in a datagram, or over a connection with or without TLS, and what its answer must be.

use std::net::IpAddr;
use std::time::Duration;

use gameday_env::{Address, Connection, Env, Route};
use regex::Regex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::config::Module;
use super::dns_message::{Message, Question, Record};
use super::dns_names::{is_rcode, rcode_name};
use super::probe::Probe;
use super::settings::{DnsSettings, RrValidation, Transport};

/// The longest answer in a datagram to a query without EDNS (RFC 1035, section 4.2.1).
const DATAGRAM_BYTES_MAX: usize = 512;
/// The number of SOA.
const SOA: u16 = 6;
const SUCCEEDED: (&str, &str) = (
    "probe_dns_query_succeeded",
    "Displays whether or not the query was executed successfully",
);

/// Where the time went.
#[derive(Clone, Copy, Default)]
struct Phases {
    resolve: Duration,
    connect: Duration,
    request: Duration,
}

pub(super) async fn run(env: &Env, module: &Module, target: &str, probe: &mut Probe) -> bool {
    let settings = &module.dns;
    let mut phases = Phases::default();
    report(probe, phases, None);
    if settings.dns_over_tls && settings.transport_protocol == Transport::Udp {
        probe.fail("Configuration error: Expected transport protocol tcp for DoT");
        return false;
    }
    let address: Address = target.parse().unwrap_or_else(|_| {
        // Without a port it is that of DNS.
        let host = target.trim_matches(['[', ']']);
        Address::new(host, if settings.dns_over_tls { 853 } else { 53 })
    });
    let (preferred, fallback) = (
        settings.preferred_ip_protocol,
        settings.ip_protocol_fallback,
    );
    let Some((ip, lookup)) = probe.resolve(&address.host, preferred, fallback).await else {
        return false;
    };
    phases.resolve = lookup;
    report(probe, phases, None);
    let limit = probe.left();
    let exchange = exchange(env, settings, &address, ip, probe, &mut phases);
    let exchanged = match env.clock().timeout(limit, exchange).await {
        Ok(exchanged) => exchanged,
        Err(elapsed) => Err(elapsed.to_string()),
    };
    let message = match exchanged {
        Ok(message) => message,
        Err(reason) => {
            report(probe, phases, None);
            probe.fail(format!("Error while sending a DNS query: {reason}"));
            return false;
        }
    };
    report(probe, phases, Some(&message));
    probe.say(format!(
        "Got response {} with {} answers",
        rcode_name(message.rcode),
        message.answer.len()
    ));
    if settings.query_type == SOA {
        let mut serials = message.answer.iter().filter_map(|record| record.serial);
        let help = "Returns the serial number of the zone";
        let serial = serials.next_back().unwrap_or(0);
        probe.set(("probe_dns_serial", help), f64::from(serial));
    }
    judge(settings, &message, probe)
}

/// Writes all metrics, so that they are there wherever the probe ends.
fn report(probe: &mut Probe, phases: Phases, message: Option<&Message>) {
    const PHASES: &str = "probe_dns_duration_seconds";
    probe.out.reset(PHASES);
    for (phase, duration) in [
        ("connect", phases.connect),
        ("request", phases.request),
        ("resolve", phases.resolve),
    ] {
        let help = "Duration of DNS request by phase";
        probe.gauge(PHASES, help, &[("phase", phase)], duration.as_secs_f64());
    }
    let count = |section: fn(&Message) -> &Vec<Record>| {
        message.map_or(0.0, |message| section(message).len() as f64)
    };
    for (name, help, records) in [
        (
            "probe_dns_additional_rrs",
            "Returns number of entries in the additional resource record list",
            count(|it| &it.additional),
        ),
        (
            "probe_dns_answer_rrs",
            "Returns number of entries in the answer resource record list",
            count(|it| &it.answer),
        ),
        (
            "probe_dns_authority_rrs",
            "Returns number of entries in the authority resource record list",
            count(|it| &it.authority),
        ),
    ] {
        probe.set((name, help), records);
    }
    probe.set(SUCCEEDED, f64::from(u8::from(message.is_some())));
}

async fn exchange(
    env: &Env,
    settings: &DnsSettings,
    address: &Address,
    ip: IpAddr,
    probe: &mut Probe,
    phases: &mut Phases,
) -> Result<Message, String> {
    // Another one for each probe, and the same ones in each run.
    let stream = format!("blackbox dns {address} {}", env.now());
    let question = Question {
        id: (env.rng(&stream).next_u64() & 0xffff) as u16,
        name: &settings.query_name,
        query_type: settings.query_type,
        class: settings.query_class,
        recursion_desired: settings.recursion_desired,
    };
    let query = question.message()?;
    let route = Route {
        from: settings.source_ip_address,
        to: Some(ip),
    };
    probe.say(format!(
        "Making DNS query for {:?} over {:?} to {address} at {ip}",
        settings.query_name, settings.transport_protocol
    ));
    let begin = env.now();
    let answer = match settings.transport_protocol {
        Transport::Udp => {
            let dialled = env.dial_datagrams(address, route).await;
            let mut socket = dialled.map_err(|error| error.to_string())?;
            let connected = env.now();
            phases.connect = connected.since(begin);
            let sent = socket.send(&query).await;
            sent.map_err(|error| error.to_string())?;
            let answer = loop {
                let received = socket.receive().await;
                let bytes = received.map_err(|error| error.to_string())?;
                // What answers another question is no answer.
                if Message::id_of(&bytes).is_none_or(|id| id == question.id) {
                    break bytes;
                }
                probe.say("Skipping an answer to another question");
            };
            phases.request = env.now().since(connected);
            if answer.len() > DATAGRAM_BYTES_MAX {
                return Err(format!(
                    "the answer has {} bytes, and a datagram may have {DATAGRAM_BYTES_MAX} without EDNS (hint: transport_protocol: tcp)",
                    answer.len()
                ));
            }
            answer
        }
        Transport::Tcp => {
            let dialled = env.dial_by(address, route).await;
            let mut connection = dialled.map_err(|error| error.to_string())?;
            if settings.dns_over_tls {
                let tls = settings.tls_config.client(env, &[])?;
                let shaken = tls.connect(&address.host, connection).await;
                (connection, _) = shaken.map_err(|error| error.to_string())?;
            }
            let connected = env.now();
            phases.connect = connected.since(begin);
            let answer = framed(&mut connection, &query).await;
            let answer = answer.map_err(|error| error.to_string())?;
            phases.request = env.now().since(connected);
            answer
        }
    };
    let message = Message::parse(&answer).ok_or("the answer is malformed")?;
    if message.id != question.id {
        return Err("the answer has another id than the question".to_owned());
    }
    Ok(message)
}

/// A question and its answer over a connection, each after its length (RFC 7766, section 8).
async fn framed(connection: &mut Connection, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut framed = (query.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(query);
    connection.write_all(&framed).await?;
    connection.flush().await?;
    let length = connection.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    connection.read_exact(&mut answer).await?;
    Ok(answer)
}

fn judge(settings: &DnsSettings, message: &Message, probe: &mut Probe) -> bool {
    let rcode = rcode_name(message.rcode);
    if let Some(unknown) = settings.valid_rcodes.iter().find(|it| !is_rcode(it)) {
        probe.fail(format!("Invalid rcode {unknown:?}"));
        return false;
    }
    let wanted = if settings.valid_rcodes.is_empty() {
        rcode == "NOERROR"
    } else {
        settings.valid_rcodes.contains(&rcode)
    };
    if !wanted {
        probe.fail(format!("Rcode is not one of the valid rcodes: {rcode}"));
        return false;
    }
    [
        ("Answer", &settings.validate_answer_rrs, &message.answer),
        (
            "Authority",
            &settings.validate_authority_rrs,
            &message.authority,
        ),
        (
            "Additional",
            &settings.validate_additional_rrs,
            &message.additional,
        ),
    ]
    .into_iter()
    .all(
        |(section, rules, records)| match broken_rule(rules, records) {
            None => true,
            Some(rule) => {
                probe.fail(format!("{section} RRs validation failed: {rule}"));
                false
            }
        },
    )
}

/// The first rule that a section breaks, as the real exporter judges: `fail_if_all_match_regexp` has always failed a section some of whose
/// records do not match, whatever its name says.
fn broken_rule(rules: &RrValidation, records: &[Record]) -> Option<String> {
    let matches = |regex: &Regex, record: &Record| regex.is_match(&record.text);
    if records.is_empty() {
        let (not, none) = (
            &rules.fail_if_not_matches_regexp,
            &rules.fail_if_none_matches_regexp,
        );
        if !not.is_empty() {
            return Some("fail_if_not_matches_regexp specified but no RRs returned".to_owned());
        }
        if !none.is_empty() {
            return Some("fail_if_none_matches_regexp specified but no RRs returned".to_owned());
        }
    }
    for record in records {
        let forbidden = rules.fail_if_matches_regexp.iter();
        if let Some(regex) = forbidden.into_iter().find(|it| matches(it, record)) {
            return Some(format!("at least one RR matched {regex}: {}", record.text));
        }
        let required = rules.fail_if_not_matches_regexp.iter();
        if let Some(regex) = required.into_iter().find(|it| !matches(it, record)) {
            return Some(format!(
                "at least one RR did not match {regex}: {}",
                record.text
            ));
        }
    }
    let all_of = &rules.fail_if_all_match_regexp;
    let all = |regex: &Regex| records.iter().all(|record| matches(regex, record));
    if !all_of.iter().all(all) {
        return Some("not all RRs matched fail_if_all_match_regexp".to_owned());
    }
    let any_of = &rules.fail_if_none_matches_regexp;
    let any = |regex: &Regex| records.iter().any(|record| matches(regex, record));
    if !any_of.is_empty() && !any_of.iter().any(any) {
        return Some("no RR matched fail_if_none_matches_regexp".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_judged_as_the_real_exporter_does() {
        let rules =
            |text: &str| -> RrValidation { gameday_yaml::from_str(text).expect("a good rule") };
        for (text, records, broken) in [
            ("{}", &[][..], false),
            ("{fail_if_matches_regexp: [x]}", &["ax", "b"], true),
            ("{fail_if_matches_regexp: [x]}", &["a", "b"], false),
            ("{fail_if_matches_regexp: [x]}", &[], false),
            ("{fail_if_not_matches_regexp: [x]}", &["ax", "b"], true),
            ("{fail_if_not_matches_regexp: [x]}", &["ax", "bx"], false),
            ("{fail_if_not_matches_regexp: [x]}", &[], true),
            ("{fail_if_all_match_regexp: [x]}", &["ax", "b"], true),
            ("{fail_if_all_match_regexp: [x]}", &["ax", "bx"], false),
            ("{fail_if_all_match_regexp: [x]}", &[], false),
            ("{fail_if_none_matches_regexp: [x]}", &["a", "b"], true),
            ("{fail_if_none_matches_regexp: [x, b]}", &["a", "b"], false),
            ("{fail_if_none_matches_regexp: [x]}", &[], true),
        ] {
            let records: Vec<Record> = records
                .iter()
                .map(|text| Record {
                    text: (*text).to_owned(),
                    serial: None,
                })
                .collect();
            let found = broken_rule(&rules(text), &records);
            assert_eq!(found.is_some(), broken, "{text}: {found:?}");
        }
    }
}
