//! Over TCP.

use core::time::Duration;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};

use ws_sip::hep::{Change, Transport};

use crate::collector::{PATIENCE, Stream, destination, hasty, send, start, until};

fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn packets_follow_each_other_in_a_stream() {
    let listener = listen();
    let (sender, told) = start(&destination(Transport::Tcp, listener.local_addr().unwrap()), &hasty());
    send(&sender, 0, 65_000);
    let mut stream = Stream::new(accept(&listener));
    told.up();
    for number in 1..200 {
        assert!(send(&sender, number, 40 * number));
    }
    for number in 0..200 {
        assert_eq!(stream.next(), Some(number));
    }
    until(|| sender.counters().sent == 200);
    drop(sender);
    assert_eq!(stream.next(), None);
    assert!(!stream.is_torn() && told.rest().is_empty());
}

#[test]
fn a_collector_that_closed_is_noticed_before_anything_is_lost() {
    let listener = listen();
    let (sender, told) = start(&destination(Transport::Tcp, listener.local_addr().unwrap()), &hasty());
    for round in 0..3 {
        send(&sender, 2 * round, 100);
        let stream = accept(&listener);
        told.up();
        let mut stream = Stream::new(stream);
        assert_eq!(stream.next(), Some(2 * round));
        send(&sender, 2 * round + 1, 100);
        assert_eq!(stream.next(), Some(2 * round + 1));
        drop(stream);
        // It is told at once, not when the next packet is due.
        assert_eq!(told.down().kind(), std::io::ErrorKind::UnexpectedEof);
    }
    assert_eq!(sender.counters().reconnects, 2);
    assert_eq!((sender.counters().sent, sender.counters().dropped), (6, 0));
}

#[test]
fn what_waits_is_sent_when_the_collector_comes() {
    // The port is ours, and nobody listens yet.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: core::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut options = hasty();
    options.queue_len = 5;
    let (sender, told) = start(&destination(Transport::Tcp, address), &options);
    for number in 0..7 {
        assert_eq!(send(&sender, number, 100), number < 5);
    }
    let mut changes = vec![told.next(), told.next()];
    changes.retain(|change| !matches!(change, Change::Dropping));
    assert!(matches!(&changes[..], [Change::Down(_)]), "{changes:?}");
    socket.listen(4).unwrap();
    let mut stream = Stream::new(accept(&socket.into()));
    told.up();
    for number in 0..5 {
        assert_eq!(stream.next(), Some(number));
    }
    let counters = sender.counters();
    assert_eq!((counters.dropped, counters.reconnects), (2, 0));
}

#[test]
fn a_slow_reader_costs_the_newest_and_nobody_waits() {
    let listener = listen();
    let mut options = hasty();
    options.stall_timeout = PATIENCE;
    let (sender, told) = start(&destination(Transport::Tcp, listener.local_addr().unwrap()), &options);
    send(&sender, 0, 100);
    let stream = accept(&listener);
    told.up();
    // More than any socket buffer holds.
    let mut sent = vec![0];
    let mut number = 0;
    while sender.counters().dropped < 100 {
        number += 1;
        if send(&sender, number, 60_000) {
            sent.push(number);
        }
    }
    assert!(matches!(told.next(), Change::Dropping));
    let mut stream = Stream::new(stream);
    for &number in &sent {
        assert_eq!(stream.next(), Some(number));
    }
    let Change::CaughtUp { dropped } = told.next() else { panic!("the end of it is not told") };
    assert_eq!(dropped, sender.counters().dropped);
    assert_eq!(sender.counters().sent, sent.len() as u64);
}

#[test]
fn a_collector_that_takes_nothing_is_left_and_no_packet_is_torn() {
    let listener = listen();
    let mut options = hasty();
    options.stall_timeout = Duration::from_millis(100);
    let (sender, told) = start(&destination(Transport::Tcp, listener.local_addr().unwrap()), &options);
    let mut sent = Vec::new();
    let mut number = 0;
    while sender.counters().dropped == 0 {
        if send(&sender, number, 60_000) {
            sent.push(number);
        }
        number += 1;
    }
    // Nothing is read until it was given up.
    let mut stream = Stream::new(accept(&listener));
    let error = loop {
        if let Change::Down(error) = told.next() {
            break error;
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    let mut connections = 1;
    for number in sent {
        // A loaded machine may be slow enough to be left again.
        let got = loop {
            if let Some(got) = stream.next() {
                break got;
            }
            stream = Stream::new(accept(&listener));
            connections += 1;
        };
        assert_eq!(got, number);
    }
    assert!(connections > 1);
}

#[test]
fn what_a_collector_says_is_passed_over() {
    let listener = listen();
    let (sender, told) = start(&destination(Transport::Tcp, listener.local_addr().unwrap()), &hasty());
    send(&sender, 0, 100);
    let mut stream = accept(&listener);
    told.up();
    stream.write_all(&[7; 100_000]).unwrap();
    let mut stream = Stream::new(stream);
    for number in 1..10 {
        send(&sender, number, 100);
    }
    for number in 0..10 {
        assert_eq!(stream.next(), Some(number));
    }
    assert!(told.rest().is_empty());
}

#[test]
fn no_packet_is_forgotten_whenever_it_comes() {
    let listener = listen();
    let destination = destination(Transport::Tcp, listener.local_addr().unwrap());
    for _ in 0..100 {
        let (sender, _told) = start(&destination, &hasty());
        // As the thread starts, as it falls asleep, and in between.
        send(&sender, 0, 10);
        let mut stream = Stream::new(accept(&listener));
        assert_eq!(stream.next(), Some(0));
        for number in 1..20 {
            for _ in 0..number {
                std::thread::yield_now();
            }
            send(&sender, number, 10);
            assert_eq!(stream.next(), Some(number));
        }
    }
}
