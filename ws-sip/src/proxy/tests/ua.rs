//! User agents that write messages as JsSIP and SIP.js do, and are as particular about what they receive.

use super::{Net, Text};
use crate::flow::FlowId;
use core::fmt::Write as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stack {
    JsSip,
    SipJs,
}

#[derive(Clone, Debug)]
pub(super) struct Ua {
    pub(super) flow: FlowId,
    pub(super) user: &'static str,
    pub(super) stack: Stack,
    /// The name that it made up for itself.
    pub(super) host: String,
    pub(super) contact: String,
    pub(super) instance: String,
    pub(super) gruu: Option<String>,
    register_cseq: u32,
    counter: u32,
}

/// One side of a dialog, or of a request that may open one.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    pub(super) call_id: String,
    local: String,
    remote: String,
    pub(super) target: String,
    pub(super) route: Vec<String>,
    pub(super) cseq: u32,
}

pub(super) const SDP: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n";

impl Ua {
    pub(super) fn new(net: &mut Net, user: &'static str, stack: Stack) -> Self {
        let flow = net.open();
        let (host, contact) = match stack {
            Stack::JsSip => (
                format!("{user}0jssip{flow}x.invalid"),
                format!("sip:{user}8c{flow}@{user}0jssip{flow}x.invalid;transport=ws"),
            ),
            Stack::SipJs => (
                format!("{user}0sipjs{flow}x.invalid"),
                format!("sip:{user}5k{flow}@{user}0sipjs{flow}x.invalid;transport=ws"),
            ),
        };
        Self {
            flow,
            user,
            stack,
            host,
            contact,
            instance: format!("urn:uuid:00000000-0000-4000-8000-{:012x}", flow.0),
            gruu: None,
            register_cseq: 0,
            counter: 0,
        }
    }

    /// A user agent that is registered.
    pub(super) fn registered(net: &mut Net, user: &'static str, stack: Stack) -> Self {
        let mut ua = Self::new(net, user, stack);
        ua.register(net);
        ua
    }

    pub(super) fn aor(&self) -> String {
        format!("sip:{}@example.com", self.user)
    }

    #[track_caller]
    pub(super) fn register(&mut self, net: &mut Net) -> Text {
        let contact = match self.stack {
            Stack::JsSip => format!(
                "<{}>;+sip.ice;reg-id=1;+sip.instance=\"<{}>\";expires=600",
                self.contact, self.instance
            ),
            Stack::SipJs => format!("<{}>;expires=600", self.contact),
        };
        let reply = self.register_with(net, &format!("Contact: {contact}\r\nExpires: 600\r\n"));
        assert_eq!(reply.status(), 200, "{}", reply.0);
        let own: Vec<_> =
            reply.all("Contact").into_iter().filter(|value| value.contains(&self.contact)).collect();
        assert_eq!(own.len(), 1, "the own contact once in\n{}", reply.0);
        self.gruu =
            own[0].split_once("pub-gruu=\"").map(|(_, rest)| rest.split('"').next().unwrap().to_owned());
        reply
    }

    /// Sends a REGISTER with these header fields and returns the response.
    #[track_caller]
    pub(super) fn register_with(&mut self, net: &mut Net, lines: &str) -> Text {
        self.register_cseq += 1;
        let cseq = self.register_cseq;
        let supported = match self.stack {
            Stack::JsSip => "path,gruu,outbound",
            Stack::SipJs => "outbound, path, gruu",
        };
        let message = format!(
            "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/WS {host};branch=z9hG4bKreg{cseq}\r\nMax-Forwards: 69\r\n\
             To: <{aor}>\r\nFrom: <{aor}>;tag=reg{user}\r\nCall-ID: reg-{host}\r\nCSeq: {cseq} REGISTER\r\n{lines}\
             Allow: INVITE,ACK,CANCEL,BYE,UPDATE,MESSAGE,OPTIONS,REFER,INFO,NOTIFY\r\nSupported: {supported}\r\n\
             User-Agent: {agent}\r\nContent-Length: 0\r\n\r\n",
            host = self.host,
            aor = self.aor(),
            user = self.user,
            agent = self.agent(),
        );
        net.send(self.flow, message);
        self.response(net)
    }

    fn agent(&self) -> &'static str {
        match self.stack {
            Stack::JsSip => "JsSIP 3.13.8",
            Stack::SipJs => "SIP.js/0.21.1",
        }
    }

    fn next(&mut self) -> u32 {
        self.counter += 1;
        self.counter
    }

    /// What a dialog or a single request with `target` starts from.
    pub(super) fn to(&mut self, target: &str) -> Dialog {
        let number = self.next();
        Dialog {
            call_id: format!("{}c{number}", self.host),
            local: format!("\"{}\" <{}>;tag={}t{number}", self.user, self.aor(), self.user),
            remote: format!("<{target}>"),
            target: target.to_owned(),
            route: Vec::new(),
            cseq: 1,
        }
    }

    /// The Contact of dialog-forming requests and their responses.
    fn dialog_contact(&self) -> String {
        match (&self.gruu, self.stack) {
            (Some(gruu), Stack::JsSip) => format!("<{gruu}>"),
            _ => format!("<{};ob>", self.contact),
        }
    }

    /// A request as text; `branch` makes it a transaction of its own.
    pub(super) fn request(&self, method: &str, branch: &str, dialog: &Dialog, body: &str) -> String {
        let mut out = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/WS {};branch=z9hG4bK{branch}\r\n",
            dialog.target, self.host
        );
        let mut line = |name: &str, value: &str| write!(out, "{name}: {value}\r\n").unwrap();
        let cseq = format!("{} {method}", dialog.cseq);
        match self.stack {
            Stack::JsSip => {
                line("Max-Forwards", "69");
                line("To", &dialog.remote);
                line("From", &dialog.local);
                line("Call-ID", &dialog.call_id);
                line("CSeq", &cseq);
            }
            Stack::SipJs => {
                line("To", &dialog.remote);
                line("From", &dialog.local);
                line("CSeq", &cseq);
                line("Call-ID", &dialog.call_id);
                line("Max-Forwards", "70");
            }
        }
        for route in &dialog.route {
            line("Route", route);
        }
        if matches!(method, "INVITE" | "UPDATE" | "SUBSCRIBE" | "REFER") {
            line("Contact", &self.dialog_contact());
        }
        match method {
            "INVITE" | "UPDATE" => line("Content-Type", "application/sdp"),
            "MESSAGE" => line("Content-Type", "text/plain;charset=UTF-8"),
            _ => {}
        }
        line("Supported", if self.stack == Stack::JsSip { "gruu,ice,replaces,outbound" } else { "outbound" });
        line("User-Agent", self.agent());
        line("Content-Length", &body.len().to_string());
        out + "\r\n" + body
    }

    /// Sends a request in a transaction of its own.
    #[track_caller]
    pub(super) fn send(&mut self, net: &mut Net, method: &str, dialog: &mut Dialog, body: &str) {
        if method != "ACK" {
            dialog.cseq += 1;
        }
        let number = self.next();
        let branch = format!("{}{number}", self.user);
        net.send(self.flow, self.request(method, &branch, dialog, body));
    }

    /// The next message, which must be a response that this user agent does not drop.
    #[track_caller]
    pub(super) fn response(&self, net: &mut Net) -> Text {
        let response = net.recv(self.flow);
        response.status();
        assert!(response.one("Via").contains(&self.host), "topmost Via of another in\n{}", response.0);
        response
    }

    /// The next message, which must be a response to what this user agent forwarded: below its own Via are others.
    #[track_caller]
    pub(super) fn response_over(&self, net: &mut Net) -> Text {
        let response = net.recv(self.flow);
        response.status();
        assert!(response.all("Via")[0].contains(&self.host), "topmost Via of another in\n{}", response.0);
        response
    }

    /// The next message, which must be a response of this status.
    #[track_caller]
    pub(super) fn expect(&self, net: &mut Net, status: u16) -> Text {
        let response = self.response(net);
        assert_eq!(response.status(), status, "{}", response.0);
        response
    }

    /// The next message, which must be a request of this method that this user agent takes as meant for it.
    #[track_caller]
    pub(super) fn incoming(&self, net: &mut Net, method: &str) -> Text {
        let request = net.expect(self.flow, &format!("{method} "));
        let user = request.uri().strip_prefix("sip:").unwrap().split('@').next().unwrap();
        let contact_user = self.contact.strip_prefix("sip:").unwrap().split('@').next().unwrap();
        assert!(user == self.user || user == contact_user, "not for {}: {}", self.user, request.start_line());
        request
    }

    /// A response to a request that was received.
    pub(super) fn answer(&self, request: &Text, status: &str, body: &str) -> String {
        let code: u16 = status[..3].parse().unwrap();
        let method = request.start_line().split(' ').next().unwrap();
        let mut out = format!("SIP/2.0 {status}\r\n");
        let mut line = |name: &str, value: &str| write!(out, "{name}: {value}\r\n").unwrap();
        for via in request.all("Via") {
            line("Via", via);
        }
        if method == "INVITE" && (101..300).contains(&code) {
            for route in request.all("Record-Route") {
                line("Record-Route", route);
            }
            line("Contact", &self.dialog_contact());
        }
        let to = request.one("To");
        match request.tag_of("To") {
            None if code > 100 => line("To", &format!("{to};tag={}", self.local_tag())),
            _ => line("To", to),
        }
        line("From", request.one("From"));
        line("Call-ID", request.one("Call-ID"));
        line("CSeq", request.one("CSeq"));
        // JsSIP leaves Content-Length out of the errors that it finds itself.
        if self.stack == Stack::SipJs || code < 300 {
            line("Content-Length", &body.len().to_string());
        }
        out + "\r\n" + body
    }

    pub(super) fn local_tag(&self) -> String {
        format!("{}{}", self.user, self.flow)
    }

    #[track_caller]
    pub(super) fn reply(&self, net: &mut Net, request: &Text, status: &str) {
        net.send(self.flow, self.answer(request, status, ""));
    }

    /// The dialog of a callee.
    pub(super) fn dialog_of(&self, invite: &Text) -> Dialog {
        Dialog {
            call_id: invite.one("Call-ID").to_owned(),
            local: format!("{};tag={}", invite.one("To"), self.local_tag()),
            remote: invite.one("From").to_owned(),
            target: uri_of(invite.one("Contact")),
            route: invite.all("Record-Route").into_iter().map(str::to_owned).collect(),
            cseq: 100,
        }
    }
}

impl Dialog {
    /// What the ACK to a response other than 2xx says.
    pub(super) fn confirm_tag(&mut self, response: &Text) {
        self.remote = response.one("To").to_owned();
    }

    /// The dialog of a caller, once a response with a To tag came.
    pub(super) fn confirm(&mut self, response: &Text) {
        self.remote = response.one("To").to_owned();
        self.target = uri_of(response.one("Contact"));
        self.route = response.all("Record-Route").into_iter().rev().map(str::to_owned).collect();
    }
}

fn uri_of(address: &str) -> String {
    address.split_once('<').unwrap().1.split('>').next().unwrap().to_owned()
}
