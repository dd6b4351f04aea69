//! Connections as they come, are made, and are written to.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::io;
use std::sync::Arc;

use mio::{Interest, Token};
use ws_core::{Endpoint, KeySource, Outcome, SendBuffer, StatusCode};

use super::{Flow, Flows, Link, MAX_FLOWS, MAX_REFUSED, index_of};
use crate::flow::FlowId;
use crate::transport::FIRST_FLOW;
use crate::transport::event::Ends;
use crate::transport::front::is_from;
use crate::transport::liveness::watch;
use crate::transport::outgoing::Purpose;
use crate::transport::socket::Socket;
use crate::transport::trunk::Trunk;

impl Flows {
    /// Takes in an accepted connection.
    pub(in crate::transport) fn accept(
        &mut self,
        mut stream: mio::net::TcpStream,
        ends: Ends,
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let max = self.settings.ws_max_connections;
        if self.limits.len() >= max.saturating_add(MAX_REFUSED).min(MAX_FLOWS) {
            // Even a refusal is more than can be given to so many.
            return Ok(());
        }
        let peer = ends.peer.ip();
        let is_fronted = is_from(&self.settings.proxy_protocol_from, peer);
        // Whose connection it is comes later from those who pass it on.
        let is_counted = !is_fronted && !is_from(&self.settings.forwarded_for_from, peer);
        let from_address = if is_counted { self.limits.add_address(peer) } else { 0 };
        let per_address = self.settings.ws_max_connections_per_address;
        let is_full = self.limits.len() >= max || (per_address > 0 && from_address > per_address);
        let config =
            if is_full || self.draining.is_some() { &self.configs.refusing } else { &self.configs.server };
        let endpoint = Endpoint::server(config, self.now);
        let index = self.next_index();
        let interest = Interest::READABLE | Interest::WRITABLE;
        let stream =
            self.registry.register(&mut stream, Token(FIRST_FLOW + index), interest).and_then(|()| {
                Ok(match (is_fronted, ends.is_secure) {
                    (true, _) => Socket::fronted(stream),
                    (false, true) => Socket::tls(stream, self.configs.tls.accept()?),
                    (false, false) => Socket::from(stream),
                })
            });
        let stream = stream.inspect_err(|_| {
            if is_counted {
                self.limits.remove_address(peer);
            }
        })?;
        let link = Link::Up { stream, endpoint, out: SendBuffer::new() };
        let id = self.insert(link, ends, None);
        if let Some(flow) = self.flow_mut(id) {
            flow.is_counted = is_counted;
        }
        self.mark(id);
        Ok(())
    }

    /// Goes on with an outgoing flow whose TCP connection is there.
    pub(in crate::transport) fn connected(
        &mut self,
        id: FlowId,
        stream: mio::net::TcpStream,
    ) -> io::Result<()> {
        let (mut client, now) = (Arc::clone(&self.configs.client), self.now);
        let options = self.flow(id).and_then(|flow| flow.outgoing.as_ref());
        if let Some(timeout) = options.and_then(|outgoing| outgoing.send_timeout) {
            Arc::make_mut(&mut client).send_timeout = Some(timeout).filter(|time| !time.is_zero());
        }
        if let Some(max) = options.and_then(|outgoing| outgoing.max_message_len) {
            Arc::make_mut(&mut client).max_message_len = max;
        }
        if self.flow(id).is_some_and(Flow::is_trunk) {
            watch(&stream, &self.settings)?;
        }
        let mut ends = Ends {
            peer: stream.peer_addr()?,
            local: stream.local_addr()?,
            is_incoming: false,
            is_secure: false,
        };
        stream.set_nodelay(true)?;
        let target = self.flow(id).and_then(|flow| flow.outgoing.as_ref()).map(|outgoing| outgoing.target());
        let stream = match target {
            Some(target) if target.is_secure() => {
                ends.is_secure = true;
                let (host, _) = target.host_and_port();
                Socket::tls(stream, self.configs.tls.connect(host, &self.settings)?)
            }
            _ => Socket::from(stream),
        };
        let max_trunk_message_len = self.settings.max_trunk_message_len();
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let Some(flow) = self.flow_mut(id) else { return Ok(()) };
        let Link::Connecting(connecting) = &flow.link else { return Ok(()) };
        flow.link = match connecting.purpose() {
            Purpose::WebSocket(request) => {
                let endpoint = Endpoint::client(request, &client, KeySource::from_seed(seed), now);
                Link::Up { stream, endpoint, out: SendBuffer::new() }
            }
            Purpose::Trunk(_) => Link::Trunk(Box::new(Trunk::tcp(stream.into_tcp()?, max_trunk_message_len))),
        };
        flow.ends = ends.canonical();
        self.mark(id);
        Ok(())
    }

    /// Takes in an accepted connection of a SIP server.
    pub(in crate::transport) fn accept_trunk(
        &mut self,
        stream: mio::net::TcpStream,
        ends: Ends,
    ) -> io::Result<FlowId> {
        stream.set_nodelay(true)?;
        watch(&stream, &self.settings)?;
        let mut trunk = Trunk::tcp(stream, self.settings.max_trunk_message_len());
        trunk.register(&self.registry, Token(FIRST_FLOW + self.next_index()))?;
        let flow = self.insert(Link::Trunk(Box::new(trunk)), ends, None);
        self.mark(flow);
        Ok(flow)
    }

    /// Binds a UDP socket that exchanges datagrams with one address.
    pub(in crate::transport) fn bind_udp(&mut self, id: FlowId, peer: SocketAddr) -> io::Result<()> {
        let any: IpAddr =
            if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let outgoing = self.flow(id).and_then(|flow| flow.outgoing.as_ref());
        let local = outgoing.and_then(|outgoing| outgoing.local).unwrap_or_else(|| SocketAddr::new(any, 0));
        let socket = mio::net::UdpSocket::bind(local)?;
        socket.connect(match peer {
            // For a socket of the other family, if that takes both.
            SocketAddr::V4(v4) if local.is_ipv6() => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            peer => peer,
        })?;
        let ends = Ends { peer, local: socket.local_addr()?, is_incoming: false, is_secure: false };
        let mut trunk = Trunk::udp(socket, self.settings.ws_max_message_len);
        trunk.register(&self.registry, Token(FIRST_FLOW + index_of(id)))?;
        let Some(flow) = self.flow_mut(id) else { return Ok(()) };
        flow.link = Link::Trunk(Box::new(trunk));
        flow.ends = ends.canonical();
        self.mark(id);
        Ok(())
    }

    /// Sends what waited for the flow to open.
    pub(in crate::transport) fn send_queued(&mut self, id: FlowId) {
        let draining = self.draining.is_some();
        let queue = self.flow_mut(id).and_then(|flow| flow.outgoing.as_mut());
        for message in queue.map(|outgoing| outgoing.take_queue()).unwrap_or_default() {
            // What the flow does not take is lost with it.
            if self.send(id, &message).is_err() {
                break;
            }
        }
        if draining {
            let _ = self.close(id, StatusCode::GOING_AWAY, "shutting down");
        }
    }

    /// Writes what the flow has to send, as far as the transport takes it. Returns whether the flow ended.
    pub(in crate::transport) fn flush(&mut self, id: FlowId) -> bool {
        let now = self.now;
        let Some(flow) = self.flow_mut(id) else { return false };
        flow.is_dirty = false;
        if matches!(flow.link, Link::Trunk(_)) {
            return self.flush_trunk(id);
        }
        let Link::Up { stream, endpoint, out } = &mut flow.link else { return false };
        while endpoint.poll_transmit(now, out) && !flow.is_blocked {
            match stream.write(out.pending()) {
                Ok(0) => {
                    flow.error.get_or_insert_with(|| io::ErrorKind::WriteZero.into());
                    endpoint.handle_transport_lost(now);
                }
                Ok(n) => endpoint.handle_transmitted(now, n, out),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    endpoint.handle_transmitted(now, 0, out);
                    flow.is_blocked = true;
                }
                Err(error) => {
                    flow.error.get_or_insert(error);
                    endpoint.handle_transport_lost(now);
                }
            }
            if endpoint.is_closed() {
                break;
            }
        }
        if !flow.is_blocked {
            // TLS has things of its own to say, and may keep some of what it took.
            match stream.flush() {
                Ok(all) => flow.is_blocked = !all,
                Err(error) => {
                    flow.error.get_or_insert(error);
                    endpoint.handle_transport_lost(now);
                }
            }
        }
        if out.is_empty() {
            out.release();
            if endpoint.is_write_closed() && !flow.is_shut && !flow.is_blocked {
                flow.is_shut = true;
                stream.shut_down_write();
            }
        }
        let ended = endpoint.is_closed();
        if let Some(at) = endpoint.poll_timeout() {
            self.arm(id, at);
        }
        ended
    }

    fn flush_trunk(&mut self, id: FlowId) -> bool {
        let (now, timeout) = (self.now, self.settings.upstream_send_timeout);
        let Some(flow) = self.flow_mut(id) else { return false };
        let Link::Trunk(trunk) = &mut flow.link else { return false };
        if trunk.end.is_some() {
            trunk.shut_down();
            return true;
        }
        let flushed = trunk.flush();
        let too_long = core::mem::take(&mut trunk.too_long);
        let is_over = flushed.is_err();
        match flushed {
            Ok(true) => {
                trunk.blocked_since = None;
                flow.is_blocked = false;
            }
            Ok(false) => {
                flow.is_blocked = true;
                let since = *trunk.blocked_since.get_or_insert(now);
                if !timeout.is_zero() {
                    self.arm(id, since + timeout);
                }
            }
            Err(_) => trunk.end = Some(Outcome::TransportLost),
        }
        self.stats.too_long_datagrams += too_long.len() as u64;
        self.too_long.extend(too_long.into_iter().map(|len| (id, len)));
        is_over
    }
}
