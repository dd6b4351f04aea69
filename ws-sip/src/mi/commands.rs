//! The commands.

use serde_json::Value;

use super::control::{Control, ControlError};
use super::json::Json;
use super::rpc::{Fault, Params};
use crate::flow::FlowId;
use crate::transport::FlowStatus;

/// A command: how it is called, and what it does.
struct Command {
    name: &'static str,
    module: &'static str,
    help: &'static str,
    /// Each set of parameters that it takes.
    parameters: &'static [&'static [&'static str]],
    run: fn(&mut dyn Control, &Arguments, usize) -> Result<Json, Fault>,
}

/// What OpenSIPS says of a command without a help text.
const NO_HELP: &str = "not available for this command";

const COMMANDS: &[Command] = &[
    Command {
        name: "which",
        module: "mi",
        help: "lists the commands, or the sets of parameters that a command takes",
        parameters: &[&[], &["command"]],
        run: which,
    },
    Command {
        name: "help",
        module: "mi",
        help: "says what a command does",
        parameters: &[&[], &["mi_cmd"]],
        run: help,
    },
    Command {
        name: "version",
        module: "mi",
        help: "names this program and its version",
        parameters: &[&[]],
        run: |_, _, _| {
            let server = concat!("ws-sip (", env!("CARGO_PKG_VERSION"), ")");
            Ok(Json::object([("Server", Json::text(server))]))
        },
    },
    Command {
        name: "ws_trace",
        module: "proto_ws",
        help: NO_HELP,
        parameters: &[&[], &["trace_mode"]],
        run: ws_trace,
    },
    Command {
        name: "ws:trace",
        module: "proto_ws",
        help: NO_HELP,
        parameters: &[&[], &["trace_mode"]],
        run: ws_trace,
    },
    Command {
        name: "ws_list",
        module: "proto_ws",
        help: "lists the open flows: up to `limit` of them, after the flow `after` of an earlier list",
        parameters: &[&[], &["limit"], &["after"], &["limit", "after"]],
        run: ws_list,
    },
    Command {
        name: "ws_close",
        module: "proto_ws",
        help: "starts the closing handshake of a flow",
        parameters: &[&["flow"]],
        run: |control, arguments, _| {
            let flow = arguments.flow("flow")?;
            done(control.close(flow))
        },
    },
    Command {
        name: "ws_ping",
        module: "proto_ws",
        help: "sends a WebSocket Ping over a flow",
        parameters: &[&["flow"]],
        run: |control, arguments, _| {
            let flow = arguments.flow("flow")?;
            done(control.ping(flow))
        },
    },
    Command {
        name: "get_statistics",
        module: "mi",
        help: "tells what was counted: all, the statistics of a group (`transport:`), or those named",
        parameters: &[&[], &["statistics"]],
        run: get_statistics,
    },
];

/// Carries a command out.
pub(super) fn run(
    control: &mut dyn Control,
    method: &str,
    params: Params,
    max_len: usize,
) -> Result<Json, Fault> {
    let command = COMMANDS.iter().find(|command| command.name == method).ok_or(Fault::NO_METHOD)?;
    let arguments = Arguments::bind(command.parameters, params)?;
    (command.run)(control, &arguments, max_len)
}

/// The values of one of a command's sets of parameters.
struct Arguments(Vec<(&'static str, Value)>);

impl Arguments {
    fn bind(sets: &[&'static [&'static str]], params: Params) -> Result<Self, Fault> {
        let given = match &params {
            Params::None => 0,
            Params::Positional(values) => values.len(),
            Params::Named(members) => members.len(),
        };
        let mut sets = sets.iter().filter(|set| set.len() == given).peekable();
        let first =
            sets.peek().ok_or_else(|| Fault::INVALID_PARAMS.with("Too few or too many parameters"))?;
        match params {
            Params::None => Ok(Self(Vec::new())),
            Params::Positional(values) => Ok(Self(first.iter().copied().zip(values).collect())),
            Params::Named(mut members) => {
                let set = sets.find(|set| members.iter().all(|(name, _)| set.contains(&name.as_str())));
                let set = set.ok_or_else(|| Fault::INVALID_PARAMS.with("Named parameters do not match"))?;
                let mut take = |parameter: &str| {
                    let at = members.iter().position(|(name, _)| name == parameter)?;
                    Some(members.swap_remove(at).1)
                };
                Ok(Self(set.iter().filter_map(|&parameter| Some((parameter, take(parameter)?))).collect()))
            }
        }
    }

    fn get(&self, parameter: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| *name == parameter).map(|(_, value)| value)
    }

    fn text(&self, parameter: &'static str) -> Result<Option<&str>, Fault> {
        let bad = || bad_value(format!("{parameter} should be a string"));
        self.get(parameter).map(|value| value.as_str().ok_or_else(bad)).transpose()
    }

    /// Reads a whole number, which most clients send as a string.
    fn number(&self, parameter: &'static str, of_what: &str) -> Result<Option<u64>, Fault> {
        let read = |value: &Value| match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        let bad = || bad_value(format!("{parameter} should be {of_what}"));
        self.get(parameter).map(|value| read(value).ok_or_else(bad)).transpose()
    }

    fn flow(&self, parameter: &'static str) -> Result<FlowId, Fault> {
        let flow = self.number(parameter, "the number of a flow, as ws_list has it")?;
        // A set without it did not match.
        flow.map(FlowId).ok_or(Fault::INVALID_PARAMS)
    }
}

fn bad_value(why: String) -> Fault {
    Fault::new(500, "Bad parameter value").with(why)
}

fn which(_: &mut dyn Control, arguments: &Arguments, _: usize) -> Result<Json, Fault> {
    let Some(name) = arguments.text("command")? else {
        return Ok(Json::List(COMMANDS.iter().map(|command| Json::text(command.name)).collect()));
    };
    let sets = find(name)?.parameters.iter();
    Ok(Json::List(sets.map(|set| Json::List(set.iter().map(|name| Json::text(*name)).collect())).collect()))
}

fn help(_: &mut dyn Control, arguments: &Arguments, _: usize) -> Result<Json, Fault> {
    let Some(name) = arguments.text("mi_cmd")? else {
        return Ok(Json::object([(
            "Usage",
            Json::text("help mi_cmd, where mi_cmd is one of what `which` lists"),
        )]));
    };
    let command = find(name)?;
    Ok(Json::object([("Help", Json::text(command.help)), ("Exported by", Json::text(command.module))]))
}

fn find(name: &str) -> Result<&'static Command, Fault> {
    let found = COMMANDS.iter().find(|command| command.name == name);
    found.ok_or(Fault::new(404, "Unknown command"))
}

fn ws_trace(control: &mut dyn Control, arguments: &Arguments, _: usize) -> Result<Json, Fault> {
    let on = match arguments.get("trace_mode") {
        None => {
            let status = if control.is_tracing() { "on" } else { "off" };
            return Ok(Json::object([("WS tracing", Json::text(status))]));
        }
        Some(Value::Bool(on)) => *on,
        Some(Value::String(mode)) if mode.eq_ignore_ascii_case("on") => true,
        Some(Value::String(mode)) if mode.eq_ignore_ascii_case("off") => false,
        Some(_) => return Err(bad_value("trace_mode should be 'on' or 'off'".into())),
    };
    control.set_tracing(on);
    Ok(ok())
}

/// Flows that are asked for at once: gathering them takes the transport's time.
const FLOWS_AT_ONCE: usize = 1024;

fn ws_list(control: &mut dyn Control, arguments: &Arguments, max_len: usize) -> Result<Json, Fault> {
    let limit = arguments.number("limit", "a number of flows")?;
    let mut left = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut after = arguments.number("after", "the number of a flow, as ws_list has it")?.map(FlowId);
    let mut out = String::from(r#"{"Flows":["#);
    let start = out.len();
    while left > 0 {
        let max = left.min(FLOWS_AT_ONCE);
        let flows = control.flows(after, max).map_err(fault)?;
        for flow in &flows {
            if out.len() > start {
                out.push(',');
            }
            flow_json(flow).write(&mut out);
            if out.len() > max_len {
                let why = format!(
                    "the response is longer than {max_len} bytes; `limit` and `after` give it in parts"
                );
                return Err(Fault::SERVER.with(why));
            }
        }
        left -= flows.len().min(left);
        match flows.last() {
            Some(last) if flows.len() >= max => after = Some(last.flow),
            _ => break,
        }
    }
    out.push_str("]}");
    Ok(Json::Written(out))
}

fn flow_json(status: &FlowStatus) -> Json {
    let FlowStatus { flow, ends, counters, age } = status;
    Json::object([
        // As text: the readers of many languages take numbers for floating-point ones.
        ("Flow", Json::text(flow.to_string())),
        ("Peer", Json::text(ends.peer.to_string())),
        ("Local", Json::text(ends.local.to_string())),
        ("Opened by", Json::text(if ends.is_incoming { "peer" } else { "us" })),
        ("Age", Json::Number(age.as_secs())),
        ("Messages in", Json::Number(counters.messages_in)),
        ("Messages out", Json::Number(counters.messages_out)),
        ("Bytes in", Json::Number(counters.bytes_in)),
        ("Bytes out", Json::Number(counters.bytes_out)),
    ])
}

fn get_statistics(control: &mut dyn Control, arguments: &Arguments, _: usize) -> Result<Json, Fault> {
    let bad = || bad_value("statistics should be names".into());
    let wanted = match arguments.get("statistics") {
        None => vec!["all"],
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => {
            names.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(bad)?
        }
        Some(_) => return Err(bad()),
    };
    let statistics = control.statistics().map_err(fault)?;
    let mut chosen = vec![false; statistics.len()];
    for name in wanted {
        let mut found = false;
        for (statistic, chosen) in statistics.iter().zip(&mut chosen) {
            if name == "all" || statistic.is_named(name) {
                *chosen = true;
                found = true;
            }
        }
        if !found {
            return Err(Fault::new(404, "Statistics Not Found").with(name.to_owned()));
        }
    }
    let chosen = statistics.iter().zip(chosen).filter(|(_, chosen)| *chosen);
    Ok(Json::Object(chosen.map(|(found, _)| (found.full_name(), Json::Number(found.value))).collect()))
}

fn done(result: Result<(), ControlError>) -> Result<Json, Fault> {
    result.map(|()| ok()).map_err(fault)
}

fn ok() -> Json {
    Json::text("OK")
}

fn fault(error: ControlError) -> Fault {
    match error {
        ControlError::NoSuchFlow => Fault::new(404, "No such flow"),
        ControlError::Refused(reason) => Fault::new(500, "Not possible now").with(reason),
        ControlError::Unreachable => Fault::SERVER.with(error.to_string()),
    }
}

#[cfg(test)]
pub(in crate::mi) mod tests;
