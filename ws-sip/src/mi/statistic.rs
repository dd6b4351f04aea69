//! What was counted, by name.

use core::fmt::Write as _;

use crate::{edge, hep, proxy, transport};

/// A number that tells how things go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistic {
    /// What it belongs to, such as `transport`.
    pub group: &'static str,
    /// Its name in the group, in lower case with underscores.
    pub name: &'static str,
    /// What is counted, in a line.
    pub help: &'static str,
    /// Whether it only ever grows.
    pub is_counter: bool,
    /// Its value now.
    pub value: u64,
}

impl Statistic {
    /// Returns a number that only ever grows.
    #[must_use]
    pub const fn counter(group: &'static str, name: &'static str, help: &'static str, value: u64) -> Self {
        Self { group, name, help, is_counter: true, value }
    }

    /// Returns a number that goes up and down.
    #[must_use]
    pub const fn gauge(group: &'static str, name: &'static str, help: &'static str, value: u64) -> Self {
        Self { group, name, help, is_counter: false, value }
    }

    /// Returns `group:name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}:{}", self.group, self.name)
    }

    /// Returns whether `name` is that of this statistic, with or without its group, or `group:`.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        match name.split_once(':') {
            Some((group, "")) => group == self.group,
            Some((group, name)) => group == self.group && name == self.name,
            None => name == self.name,
        }
    }
}

/// Adds what was counted in one more place to what was counted so far.
pub fn add(total: &mut Vec<Statistic>, more: Vec<Statistic>) {
    for statistic in more {
        let same = |known: &&mut Statistic| (known.group, known.name) == (statistic.group, statistic.name);
        match total.iter_mut().find(same) {
            Some(known) => known.value = known.value.saturating_add(statistic.value),
            None => total.push(statistic),
        }
    }
}

/// Returns what a transport counted; `connections` is how many it has now.
#[must_use]
pub fn transport(stats: &transport::Stats, connections: usize) -> Vec<Statistic> {
    let transport::Stats {
        accepted,
        opened,
        closed,
        not_opened,
        bad_proxy_headers,
        http_requests,
        messages_in,
        keepalives_in,
        keepalive_answers_in,
        refused_messages,
        too_long_datagrams,
        accept_failures,
    } = *stats;
    let count = |name, help, value| Statistic::counter("transport", name, help, value);
    vec![
        Statistic::gauge(
            "transport",
            "connections",
            "connections now, in whatever state",
            connections as u64,
        ),
        Statistic::gauge("transport", "flows", "open flows now", opened.saturating_sub(closed)),
        count("accepted", "TCP connections accepted", accepted),
        count("opened", "flows opened, in both directions", opened),
        count("closed", "flows closed", closed),
        count("not_opened", "opening handshakes that failed, in both directions", not_opened),
        count("bad_proxy_headers", "connections of balancers without a PROXY header", bad_proxy_headers),
        count("http_requests", "plain HTTP requests", http_requests),
        count("messages_in", "SIP messages received", messages_in),
        count("keepalives_in", "keepalives received and answered", keepalives_in),
        count("keepalive_answers_in", "answers to our keepalives", keepalive_answers_in),
        count("refused_messages", "messages dropped because they were not one SIP message", refused_messages),
        count(
            "too_long_datagrams",
            "datagrams dropped because the way to the server takes none so long",
            too_long_datagrams,
        ),
        count("accept_failures", "connections that could not be accepted", accept_failures),
    ]
}

/// Returns what was counted on the way to the collector of traces.
#[must_use]
pub fn trace(counters: &hep::SenderCounters) -> Vec<Statistic> {
    let hep::SenderCounters { sent, dropped, reconnects } = *counters;
    let count = |name, help, value| Statistic::counter("trace", name, help, value);
    vec![
        count("sent", "records sent to the collector", sent),
        count("dropped", "records dropped, most of them because too many waited", dropped),
        count("reconnects", "connections to the collector after the first", reconnects),
    ]
}

/// Returns what a proxy counted.
#[must_use]
pub fn proxy(stats: &proxy::Stats) -> Vec<Statistic> {
    let proxy::Stats {
        requests,
        responses,
        registered,
        keepalive_pings,
        keepalive_pongs,
        not_sip,
        malformed,
        octets_after_body,
        unknown_flow,
        forwarded_requests,
        forwarded_responses,
        local_successes,
        local_failures,
        stray_responses,
        repeated_requests,
        stray_acks,
        unproven_acks,
        loops,
        overloads,
        failed_flows,
        timeouts,
    } = *stats;
    let count = |name, help, value| Statistic::counter("proxy", name, help, value);
    vec![
        count("requests", "well-formed requests received", requests),
        count("responses", "well-formed responses received", responses),
        count("registered", "REGISTER requests that succeeded", registered),
        count("keepalive_pings", "keepalives answered", keepalive_pings),
        count("keepalive_pongs", "answers to keepalives", keepalive_pongs),
        count("not_sip", "messages refused because they were no SIP message", not_sip),
        count("malformed", "messages refused because they break a rule of SIP", malformed),
        count("octets_after_body", "messages with octets after their body", octets_after_body),
        count("unknown_flow", "messages on a flow that is not open", unknown_flow),
        count("forwarded_requests", "requests forwarded, each branch counted", forwarded_requests),
        count("forwarded_responses", "responses forwarded", forwarded_responses),
        count("local_successes", "responses made here with a status below 300", local_successes),
        count("local_failures", "responses made here with a status of 300 and above", local_failures),
        count("stray_responses", "responses dropped because they belong to no transaction", stray_responses),
        count("repeated_requests", "requests dropped because they came again", repeated_requests),
        count("stray_acks", "ACKs dropped because they lead nowhere", stray_acks),
        count("unproven_acks", "ACKs dropped because who sent them has proven nothing", unproven_acks),
        count("loops", "loops found", loops),
        count("overloads", "requests refused because of a limit on transactions", overloads),
        count("failed_flows", "branches that ended because their flow closed", failed_flows),
        count("timeouts", "transactions or branches that ended by a deadline", timeouts),
    ]
}

/// Returns what an edge proxy counted.
#[must_use]
pub fn edge(stats: &edge::Stats) -> Vec<Statistic> {
    let edge::Stats {
        requests_up,
        requests_down,
        responses_up,
        responses_down,
        answered,
        refused,
        flow_failed,
        retransmissions,
    } = *stats;
    let count = |name, help, value| Statistic::counter("edge", name, help, value);
    vec![
        count("requests_up", "requests forwarded to the upstream", requests_up),
        count("requests_down", "requests forwarded to browsers", requests_down),
        count("responses_up", "responses forwarded to the upstream", responses_up),
        count("responses_down", "responses forwarded to browsers", responses_down),
        count("answered", "requests answered here", answered),
        count("refused", "messages that broke a rule, and responses to nobody", refused),
        count("flow_failed", "messages for flows that are gone", flow_failed),
        count("retransmissions", "retransmissions sent over UDP", retransmissions),
    ]
}

/// Writes statistics in the text format of Prometheus, each as `ws_sip_GROUP_NAME`, counters with `_total`.
///
/// ```
/// use ws_sip::mi::{Statistic, metrics};
/// let text = metrics(&[Statistic::counter("transport", "opened", "flows opened", 3)]);
/// assert!(text.contains("# TYPE ws_sip_transport_opened_total counter\n"));
/// assert!(text.ends_with("\nws_sip_transport_opened_total 3\n"));
/// ```
#[must_use]
pub fn metrics(statistics: &[Statistic]) -> String {
    let mut text = String::new();
    for Statistic { group, name, help, is_counter, value } in statistics {
        let (kind, end) = if *is_counter { ("counter", "_total") } else { ("gauge", "") };
        let name = format!("ws_sip_{group}_{name}{end}");
        // Writing to a string cannot fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    text
}
