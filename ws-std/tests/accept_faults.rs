//! The accept loop goes on when the process has no file descriptor left. A program of its own, since the limit
//! holds for all of a process.
#![cfg(unix)]

use core::time::Duration;
use std::fs::File;
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, connect, socket};
use rustix::process::{Resource, getrlimit, setrlimit};
use ws_std::{ClientBuilder, Listener};

/// Far more than anything here takes.
const HANGS: Duration = Duration::from_secs(60);

fn assert_connected(client: TcpStream, server: TcpStream) {
    let client = thread::spawn(|| ClientBuilder::new("ws://localhost/").connect_over(client).unwrap());
    let mut server = ws_std::accept(server, &Default::default()).unwrap();
    client.join().unwrap().send_text("here").unwrap();
    assert_eq!(server.read().unwrap(), Some("here".into()));
}

#[test]
fn goes_on_after_the_descriptors_ran_out() {
    let (fault, faults) = mpsc::channel();
    let (accept, accepted) = mpsc::channel();
    let listener = Listener::bind("127.0.0.1:0").unwrap().on_fault(move |error| {
        let _ = fault.send(Errno::from_io_error(error));
    });
    let address = listener.local_addr().unwrap();
    // The clients have their descriptors beforehand.
    let [first, second] = [(); 2].map(|()| socket(AddressFamily::INET, SocketType::STREAM, None).unwrap());

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(64);
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut ballast = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        ballast.push(file);
    }

    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            if accept.send(stream).is_err() {
                break;
            }
        }
    });
    assert_eq!(faults.recv_timeout(HANGS), Ok(Some(Errno::MFILE)));
    connect(&first, &address).unwrap();
    connect(&second, &address).unwrap();
    assert!(accepted.try_recv().is_err());

    ballast.pop().unwrap();
    assert_connected(first.into(), accepted.recv_timeout(HANGS).unwrap());
    // That took the one there was, and gave back two.
    assert_connected(second.into(), accepted.recv_timeout(HANGS).unwrap());
}
