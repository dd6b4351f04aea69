//! TCP connections without a protocol of their own to find out that the other end is gone.

use core::time::Duration;
use std::io;
use std::os::fd::AsFd;

use rustix::net::sockopt;

use crate::settings::Settings;

/// Has the system find out when a SIP server that is connected over TCP is there no more: its host lost its power, say, and
/// no FIN ever comes. What [`ws_ping_interval`](Settings::ws_ping_interval) and [`ws_pong_timeout`](Settings::ws_pong_timeout)
/// are for WebSocket, keepalive probes are here; and what was sent must be acknowledged in the time that a Pong may take.
pub(super) fn watch(socket: impl AsFd, settings: &Settings) -> io::Result<()> {
    let (interval, timeout) = (settings.ws_ping_interval, settings.ws_pong_timeout);
    if !interval.is_zero() {
        sockopt::set_tcp_keepidle(&socket, in_seconds(interval))?;
        if !timeout.is_zero() {
            sockopt::set_tcp_keepintvl(&socket, in_seconds(timeout))?;
            sockopt::set_tcp_keepcnt(&socket, 1)?;
        }
        sockopt::set_socket_keepalive(&socket, true)?;
    }
    #[cfg(target_os = "linux")]
    if !timeout.is_zero() {
        let milliseconds = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(&socket, milliseconds)?;
    }
    Ok(())
}

/// A time as the system takes it: whole seconds, 1 to 32,767.
fn in_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs().clamp(1, 32_767))
}

#[cfg(test)]
mod tests {
    use super::super::flows::Link;
    use super::super::trunk::TrunkTransport;
    use super::super::{FlowEvent, Transport};
    use super::*;

    /// What the sockets of both kinds of trunk are set to: one that we open, one that is accepted.
    fn trunks(settings: &Settings) -> Vec<(bool, Duration, Duration, u32, u32)> {
        let mut transport = Transport::new(settings.clone()).unwrap();
        let address = transport.listen_trunk("127.0.0.1:0".parse().unwrap()).unwrap();
        transport.flows().open_trunk(&address.to_string().parse().unwrap(), TrunkTransport::Tcp);
        let mut opened = Vec::new();
        while opened.len() < 2 {
            let opened = &mut opened;
            transport
                .poll(None, |_, event| {
                    if let FlowEvent::TrunkOpened { flow, .. } = event {
                        opened.push(flow);
                    }
                })
                .unwrap();
        }
        let flows = transport.flows();
        let mut found = Vec::new();
        for flow in opened {
            let Link::Trunk(trunk) = &flows.flow(flow).unwrap().link else { panic!("no trunk") };
            let socket = trunk.stream().unwrap();
            found.push((
                sockopt::socket_keepalive(socket).unwrap(),
                sockopt::tcp_keepidle(socket).unwrap(),
                sockopt::tcp_keepintvl(socket).unwrap(),
                sockopt::tcp_keepcnt(socket).unwrap(),
                sockopt::tcp_user_timeout(socket).unwrap(),
            ));
        }
        found
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_server_that_vanished_is_found_out_as_a_browser_is() {
        let mut settings = Settings::default();
        let seconds = Duration::from_secs;
        assert_eq!(trunks(&settings), [(true, seconds(30), seconds(10), 1, 10_000); 2]);
        settings.ws_ping_interval = seconds(5);
        settings.ws_pong_timeout = seconds(2);
        assert_eq!(trunks(&settings), [(true, seconds(5), seconds(2), 1, 2000); 2]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn each_half_can_be_off() {
        let settings = Settings { ws_ping_interval: Duration::ZERO, ..Settings::default() };
        for (keepalive, .., user_timeout) in trunks(&settings) {
            assert_eq!((keepalive, user_timeout), (false, 10_000));
        }
        let settings = Settings { ws_pong_timeout: Duration::ZERO, ..Settings::default() };
        for (keepalive, idle, .., user_timeout) in trunks(&settings) {
            assert_eq!((keepalive, idle, user_timeout), (true, Duration::from_secs(30), 0));
        }
    }
}
