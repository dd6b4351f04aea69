//! Over UDP, and what no transport differs in.

use std::net::UdpSocket;
use std::time::Instant;

use ws_sip::hep::{Change, MAX_DATAGRAM_LEN, Transport};

use crate::collector::{destination, hasty, receive, send, start, udp, until};

#[test]
fn each_packet_is_a_datagram() {
    let collector = udp();
    let (sender, told) = start(&destination(Transport::Udp, collector.local_addr().unwrap()), &hasty());
    for number in 0..50 {
        assert!(send(&sender, number, 10 * number));
    }
    for number in 0..50 {
        assert_eq!(receive(&collector), number);
    }
    told.up();
    until(|| sender.counters().sent == 50);
    let counters = sender.counters();
    assert_eq!((counters.dropped, counters.reconnects), (0, 0));
    assert!(told.rest().is_empty());
}

#[test]
fn what_no_datagram_holds_is_dropped_and_told_once() {
    let collector = udp();
    let (sender, told) = start(&destination(Transport::Udp, collector.local_addr().unwrap()), &hasty());
    assert_eq!(sender.max_packet_len(), MAX_DATAGRAM_LEN);
    assert!(!send(&sender, 0, MAX_DATAGRAM_LEN));
    assert!(!send(&sender, 1, MAX_DATAGRAM_LEN - 100));
    assert!(matches!(told.next(), Change::Dropping));
    let overhead = 6 + 14 + 16 + 20 + 7 + 10 + 20 + 6 + 7;
    assert!(send(&sender, 2, MAX_DATAGRAM_LEN - overhead));
    assert_eq!(receive(&collector), 2);
    told.up();
    let Change::CaughtUp { dropped } = told.next() else { panic!("the end of it is not told") };
    assert_eq!((dropped, sender.counters().dropped), (2, 2));
}

/// Addresses that nothing else on the machine binds to, so that a port can be left and had again.
fn vacant(last: u8) -> UdpSocket {
    UdpSocket::bind((core::net::Ipv4Addr::new(127, 83, 73, last), 0)).unwrap()
}

#[test]
fn no_datagram_is_lost_to_a_collector_that_comes_late() {
    let address = vacant(1).local_addr().unwrap();
    let (sender, told) = start(&destination(Transport::Udp, address), &hasty());
    for number in 0..3 {
        send(&sender, number, 100);
    }
    assert_eq!(told.down().kind(), std::io::ErrorKind::ConnectionRefused);
    let collector = UdpSocket::bind(address).unwrap();
    collector.set_read_timeout(Some(crate::collector::PATIENCE)).unwrap();
    told.up();
    for number in 0..3 {
        assert_eq!(receive(&collector), number);
    }
    until(|| sender.counters().sent == 3);
    assert!(sender.counters().reconnects > 0);

    // It goes away while nothing is sent, and comes back: only the next datagram can show it.
    drop(collector);
    send(&sender, 3, 100);
    told.down();
    let collector = UdpSocket::bind(address).unwrap();
    collector.set_read_timeout(Some(crate::collector::PATIENCE)).unwrap();
    send(&sender, 4, 100);
    assert_eq!(receive(&collector), 4);
    told.up();
}

#[test]
fn a_full_queue_drops_the_newest() {
    let mut options = hasty();
    options.queue_len = 10;
    let address = vacant(2).local_addr().unwrap();
    let (sender, told) = start(&destination(Transport::Udp, address), &options);
    let queued = (0..100).filter(|&number| send(&sender, number, 1)).count();
    assert_eq!((queued, sender.counters().dropped), (10, 90));
    let mut seen = [false; 2];
    while seen != [true; 2] {
        match told.next() {
            Change::Dropping => assert!(!core::mem::replace(&mut seen[0], true)),
            Change::Down(_) => assert!(!core::mem::replace(&mut seen[1], true)),
            change => panic!("{change:?}"),
        }
    }
    let collector = UdpSocket::bind(address).unwrap();
    collector.set_read_timeout(Some(crate::collector::PATIENCE)).unwrap();
    for number in 0..10 {
        assert_eq!(receive(&collector), number);
    }
    // Neither change was told again, however often it was tried.
    told.up();
    assert!(matches!(told.next(), Change::CaughtUp { dropped: 90 }));
}

#[test]
fn the_last_sender_sends_what_waits() {
    let collector = udp();
    let (sender, _told) = start(&destination(Transport::Udp, collector.local_addr().unwrap()), &hasty());
    let clone = sender.clone();
    for number in 0..20 {
        send(&sender, number, 100);
    }
    drop(sender);
    send(&clone, 20, 100);
    drop(clone);
    // It is there already: the sender waited for it.
    collector.set_nonblocking(true).unwrap();
    for number in 0..=20 {
        assert_eq!(receive(&collector), number);
    }
}

#[test]
fn an_unreachable_collector_does_not_hold_up_the_end() {
    let (sender, told) = start(&destination(Transport::Udp, vacant(3).local_addr().unwrap()), &hasty());
    send(&sender, 0, 100);
    told.down();
    let start = Instant::now();
    drop(sender);
    assert!(start.elapsed() < crate::collector::PATIENCE / 3, "{:?}", start.elapsed());
    // The thread is gone, and what it told with.
    until(|| told.is_over());
}
