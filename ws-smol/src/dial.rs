//! Finding a host and connecting to it.

use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use std::io;
use std::net::ToSocketAddrs as _;

use async_io::Timer;

use crate::TcpStream;

/// How long an address may keep a client waiting until the next one is tried beside it: the recommendation of RFC
/// 8305, section 5.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Gives a future up when it takes too long. `name`: of the deadline, for people.
pub(crate) async fn within<T>(
    timeout: Option<Duration>,
    name: &'static str,
    future: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let Some(timeout) = timeout else { return future.await };
    let mut future = pin!(future);
    let mut timer = Timer::after(timeout);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Pending if Pin::new(&mut timer).poll(cx).is_ready() => {
            Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, name)))
        }
        result => result,
    })
    .await
}

/// Returns the addresses of a host as a URL names it.
pub(crate) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let name = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let name = name.to_owned();
    // The system's resolver blocks.
    blocking::unblock(move || Ok((&*name, port).to_socket_addrs()?.collect())).await
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Connects to the first of the addresses that lets it.
pub(crate) async fn dial(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut left = addresses.into_iter();
    let mut attempts = Vec::<Attempt>::new();
    let mut next_at = Timer::never();
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    poll_fn(move |cx| {
        let mut start_next = attempts.is_empty() || Pin::new(&mut next_at).poll(cx).is_ready();
        loop {
            if start_next && let Some(address) = left.next() {
                attempts.push(Box::pin(TcpStream::connect(address)));
                next_at.set_after(ATTEMPT_DELAY);
            }
            start_next = false;
            let mut i = 0;
            while i < attempts.len() {
                match attempts[i].as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        last_error = error;
                        drop(attempts.remove(i));
                        start_next = true;
                    }
                    Poll::Pending => i += 1,
                }
            }
            if start_next && left.len() > 0 {
                continue;
            }
            if attempts.is_empty() {
                return Poll::Ready(Err(core::mem::replace(&mut last_error, io::ErrorKind::NotFound.into())));
            }
            if left.len() == 0 || Pin::new(&mut next_at).poll(cx).is_pending() {
                return Poll::Pending;
            }
            start_next = true;
        }
    })
    .await
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_next_address_is_tried_when_one_fails() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        let stream = async_io::block_on(dial(vec![nobody_at(), there, nobody_at()])).unwrap();
        assert_eq!(stream.get_ref().peer_addr().unwrap(), there);
    }

    #[test]
    fn the_last_failure_is_told() {
        let error = async_io::block_on(dial(vec![nobody_at(), nobody_at()])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(async_io::block_on(dial(Vec::new())).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// A host that answers nothing costs a quarter of a second, not the whole timeout.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_next_address_is_tried_when_one_keeps_silent() {
        let full = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = full.local_addr().unwrap();
        rustix::net::listen(&full, 0).unwrap();
        let _one_fits = std::net::TcpStream::connect(silent).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        let stream = async_io::block_on(dial(vec![silent, there])).unwrap();
        assert_eq!(stream.get_ref().peer_addr().unwrap(), there);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_timeout_covers_all_addresses() {
        let full = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&full, 0).unwrap();
        let silent = full.local_addr().unwrap();
        let _one_fits = std::net::TcpStream::connect(silent).unwrap();
        let timeout = Some(Duration::from_millis(30));
        let error =
            async_io::block_on(within(timeout, "connect timeout", dial(vec![silent, silent]))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn literals_are_not_looked_up() {
        let addresses = |host| async_io::block_on(resolve(host, 80)).unwrap();
        assert_eq!(addresses("192.0.2.1"), ["192.0.2.1:80".parse().unwrap()]);
        assert_eq!(addresses("[2001:db8::1]"), ["[2001:db8::1]:80".parse().unwrap()]);
    }

    /// An address that refuses: a socket holds the port, but does not listen.
    fn nobody_at() -> SocketAddr {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
        let holds = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&holds, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = getsockname(&holds).unwrap().try_into().unwrap();
        // To the end of the test program.
        core::mem::forget(holds);
        address
    }
}
