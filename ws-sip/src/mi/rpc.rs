//! JSON-RPC 2.0: requests, batches and notifications to responses.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::commands;
use super::control::Control;
use super::json::{Json, write_text};

/// Bytes of a request at most, whatever carries it.
pub const MAX_REQUEST_LEN: usize = 64 << 10;
/// Bytes of a response at most, where what carries it sets no lower bound.
pub const MAX_RESPONSE_LEN: usize = 32 << 20;
/// Requests in a batch at most.
pub const MAX_BATCH: usize = 64;

/// An error of JSON-RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: i32,
    pub(super) message: &'static str,
    pub(super) data: Option<Cow<'static, str>>,
}

impl Fault {
    pub(super) const PARSE: Self = Self::new(-32700, "Parse error");
    pub(super) const INVALID_REQUEST: Self = Self::new(-32600, "Invalid Request");
    pub(super) const NO_METHOD: Self = Self::new(-32601, "Method not found");
    pub(super) const INVALID_PARAMS: Self = Self::new(-32602, "Invalid params");
    pub(super) const SERVER: Self = Self::new(-32000, "Server error");

    pub(super) const fn new(code: i32, message: &'static str) -> Self {
        Self { code, message, data: None }
    }

    pub(super) fn with(self, data: impl Into<Cow<'static, str>>) -> Self {
        Self { data: Some(data.into()), ..self }
    }

    fn too_long(max_len: usize) -> Self {
        Self::SERVER.with(format!("the response is longer than {max_len} bytes"))
    }
}

/// Answers a request, or a batch of them: carries the commands out, and returns the response, or `None` if none is
/// asked for. A response that would be longer than `max_len` is an error instead; the command was carried out then.
///
/// ```
/// # use ws_sip::{mi::{Control, ControlError, Statistic}, transport::FlowStatus};
/// # struct Nothing;
/// # impl Control for Nothing {
/// #     fn is_tracing(&mut self) -> bool { false }
/// #     fn set_tracing(&mut self, _: bool) {}
/// #     fn flows(&mut self, _: Option<ws_sip::FlowId>, _: usize) -> Result<Vec<FlowStatus>, ControlError> { Ok(vec![]) }
/// #     fn close(&mut self, _: ws_sip::FlowId) -> Result<(), ControlError> { Err(ControlError::NoSuchFlow) }
/// #     fn ping(&mut self, _: ws_sip::FlowId) -> Result<(), ControlError> { Err(ControlError::NoSuchFlow) }
/// #     fn statistics(&mut self) -> Result<Vec<Statistic>, ControlError> { Ok(vec![]) }
/// # }
/// # let mut control = Nothing;
/// let request = br#"{"jsonrpc": "2.0", "id": "8750", "method": "ws_trace", "params": {}}"#;
/// let response = ws_sip::mi::answer(&mut control, request, 65_507);
/// assert_eq!(response.unwrap(), r#"{"jsonrpc":"2.0","result":{"WS tracing":"off"},"id":"8750"}"#);
/// ```
pub fn answer(control: &mut dyn Control, request: &[u8], max_len: usize) -> Option<String> {
    if request.len() > MAX_REQUEST_LEN {
        return Some(refuse_too_long());
    }
    let parsed =
        core::str::from_utf8(request).ok().and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
    let Some(request) = parsed else { return Some(respond("null", Err(Fault::PARSE))) };
    if !request.get().starts_with('[') {
        return single(control, request, max_len);
    }
    let Ok(batch) = serde_json::from_str::<Vec<&RawValue>>(request.get()) else {
        return Some(respond("null", Err(Fault::PARSE)));
    };
    if batch.is_empty() || batch.len() > MAX_BATCH {
        let why = format!("a batch has 1 to {MAX_BATCH} requests");
        return Some(respond("null", Err(Fault::INVALID_REQUEST.with(why))));
    }
    let mut out = String::from("[");
    for request in batch {
        let left = max_len.saturating_sub(out.len() + 1);
        if let Some(response) = single(control, request, left) {
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(&response);
        }
    }
    match out.len() {
        1 => None,
        // Even the errors did not fit.
        len if len >= max_len => Some(respond("null", Err(Fault::too_long(max_len)))),
        _ => {
            out.push(']');
            Some(out)
        }
    }
}

/// Returns the response to a request that is longer than [`MAX_REQUEST_LEN`].
#[must_use]
pub fn refuse_too_long() -> String {
    let why = format!("the request is longer than {MAX_REQUEST_LEN} bytes");
    respond("null", Err(Fault::INVALID_REQUEST.with(why)))
}

fn single(control: &mut dyn Control, request: &RawValue, max_len: usize) -> Option<String> {
    let members = serde_json::from_str::<HashMap<Cow<'_, str>, &RawValue>>(request.get());
    let Ok(members) = members else { return Some(respond("null", Err(Fault::INVALID_REQUEST))) };
    let id = members.get("id").map(|id| id.get());
    let id_is_valid = id.is_none_or(is_identifier);
    let method = members.get("method").and_then(|method| serde_json::from_str::<String>(method.get()).ok());
    let is_version_2 = members.get("jsonrpc").is_some_and(|version| {
        serde_json::from_str::<Cow<'_, str>>(version.get()).is_ok_and(|text| text == "2.0")
    });
    let params = members.get("params").map_or(Some(Params::None), |params| Params::read(params));
    let (Some(method), Some(params), true, true) = (method, params, id_is_valid, is_version_2) else {
        let id = id.filter(|_| id_is_valid).unwrap_or("null");
        return Some(respond(id, Err(Fault::INVALID_REQUEST)));
    };
    let result = commands::run(control, &method, params, max_len);
    // No identifier: a notification, carried out and not answered.
    let id = id?;
    let response = respond(id, result);
    Some(if response.len() > max_len { respond(id, Err(Fault::too_long(max_len))) } else { response })
}

/// Whether `json` can be given back as an identifier: a string, a number or null (JSON-RPC 2.0 section 4) that the
/// receiver of the response can read. It is given back as it was written, and the grammar of JSON lets a number be
/// beyond every range, and a string hold half a surrogate pair.
fn is_identifier(json: &str) -> bool {
    !json.starts_with(['{', '[', 't', 'f']) && serde_json::from_str::<Value>(json).is_ok()
}

/// The parameters of a request.
#[derive(Debug)]
pub(super) enum Params {
    None,
    Positional(Vec<Value>),
    Named(Vec<(String, Value)>),
}

impl Params {
    /// Reads an array or object; `None` if it is neither.
    fn read(params: &RawValue) -> Option<Self> {
        match serde_json::from_str(params.get()).ok()? {
            Value::Array(values) if values.is_empty() => Some(Self::None),
            Value::Array(values) => Some(Self::Positional(values)),
            Value::Object(members) if members.is_empty() => Some(Self::None),
            Value::Object(members) => Some(Self::Named(members.into_iter().collect())),
            _ => None,
        }
    }
}

/// Writes a response; `id` is JSON.
fn respond(id: &str, result: Result<Json, Fault>) -> String {
    let mut out = String::from(r#"{"jsonrpc":"2.0","#);
    match result {
        Ok(result) => {
            out.push_str(r#""result":"#);
            result.write(&mut out);
        }
        Err(Fault { code, message, data }) => {
            out.push_str(&format!(r#""error":{{"code":{code},"message":"#));
            write_text(message, &mut out);
            if let Some(data) = data {
                out.push_str(r#","data":"#);
                write_text(&data, &mut out);
            }
            out.push('}');
        }
    }
    out.push_str(r#","id":"#);
    out.push_str(id);
    out.push('}');
    out
}
