//! Ten thousand flows that open, idle and end all at once: each is reported once, and nothing of them is left.
#![cfg(target_os = "linux")]

mod common;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{ChildStderr, Command};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use common::Raw;
use common::program::{Running, start};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use ws_sip::proxy::{FlowInfo, Proxy};
use ws_sip::{FlowEvent, Settings, Transport};

const FLOWS: usize = 10_000;

/// As many as the limit on descriptors allows, which is raised as far as may be; the program gets the same.
fn flows() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // A machine that forbids even that has few flows to test with.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let allowed =
        getrlimit(Resource::Nofile).current.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let flows = FLOWS.min(allowed.saturating_sub(200));
    println!("{flows} flows");
    flows
}

/// Reads the log to its end in a thread, so that the program never waits for its reader; hands on what flows are told of.
fn read_log(stderr: ChildStderr) -> Receiver<(String, u64)> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut words = line.split(' ').skip(2);
            let event = words.next().unwrap_or_default().to_owned();
            let flow = words.find_map(|word| word.strip_prefix("flow=")?.parse().ok());
            let Some(flow) = flow else { continue };
            if tell.send((event, flow)).is_err() {
                break;
            }
        }
    });
    told
}

/// Takes so many of an event, each of another flow, and nothing else of the log.
#[track_caller]
fn take(log: &Receiver<(String, u64)>, event: &str, count: usize) -> HashSet<u64> {
    let mut flows = HashSet::new();
    while flows.len() < count {
        let (told, flow) = log.recv().expect("the log ended");
        assert_eq!(told, event);
        assert!(flows.insert(flow), "{event} of {flow} came twice");
    }
    flows
}

fn open(port: u16, count: usize) -> Vec<Raw> {
    open_to(([127, 0, 0, 1], port).into(), count)
}

fn open_to(address: SocketAddr, count: usize) -> Vec<Raw> {
    let connect = |_| {
        let mut raw = Raw::connect(address);
        raw.handshake("Sec-WebSocket-Protocol: sip\r\nOrigin: http://x\r\n");
        raw
    };
    let mut all: Vec<Raw> = Vec::with_capacity(count);
    while all.len() < count {
        // A hundred at a time, for each must be in the listener's queue.
        let mut some: Vec<Raw> = (0..(count - all.len()).min(100)).map(connect).collect();
        for raw in &mut some {
            let mut status = [0; 12];
            raw.0.read_exact(&mut status).unwrap();
            assert_eq!(&status, b"HTTP/1.1 101");
        }
        all.append(&mut some);
    }
    all
}

/// Kilobytes of memory, and descriptors.
fn held(program: &Running) -> (usize, usize) {
    let id = program.0.id();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let memory = memory.trim().trim_end_matches(" kB").parse().unwrap();
    (memory, std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count())
}

/// Waits until the program holds what it should.
#[track_caller]
fn soon(program: &Running, is_so: impl Fn((usize, usize)) -> bool) -> (usize, usize) {
    let start = Instant::now();
    loop {
        let held = held(program);
        if is_so(held) {
            return held;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "it holds {held:?}");
        thread::yield_now();
    }
}

#[test]
fn each_is_reported_once_and_nothing_is_left() {
    let count = flows();
    let (mut program, port) = start(&["--socket", "ws:127.0.0.1:0", "--require-origin", "no"]);
    let log = read_log(program.0.stderr.take().unwrap());

    let (_, descriptors_before) = held(&program);
    // What the first few take is there to stay: buffers, and the memory that the allocator keeps at hand.
    drop(open(port, count / 10));
    let few = take(&log, "flow-opened", count / 10);
    assert_eq!(take(&log, "flow-closed", count / 10), few);
    // The log tells of an end just before the descriptor goes.
    let (memory_before, _) = soon(&program, |(_, descriptors)| descriptors == descriptors_before);

    let mut most = usize::MAX;
    for _ in 0..3 {
        let peers = open(port, count);
        let opened = take(&log, "flow-opened", count);
        let (memory, descriptors) = held(&program);
        assert_eq!(descriptors, descriptors_before + count);
        drop(peers);
        assert_eq!(take(&log, "flow-closed", count), opened);
        let (after, _) = soon(&program, |(_, descriptors)| descriptors == descriptors_before);
        println!("memory: {memory_before} kB, with flows {memory}, after {after}");
        // The allocator may keep what was given back to it, for the next time, but no time takes more than the first. To the
        // byte: the test below.
        most = most.min(memory + memory / 20);
        assert!(memory <= most && after <= most, "{memory}, then {after}, of {most} kB");
    }

    // The other way around: the program ends them all.
    let peers = open(port, count);
    let opened = take(&log, "flow-opened", count);
    assert!(Command::new("kill").arg(program.0.id().to_string()).status().unwrap().success());
    for mut peer in peers {
        let mut rest = Vec::new();
        // The head of the 101 is still there, behind it a Close frame with 1001.
        while !rest.windows(4).any(|bytes| bytes == b"\x88\x0f\x03\xe9") {
            let mut buffer = [0; 1024];
            let n = peer.0.read(&mut buffer).unwrap();
            assert!(n > 0, "the stream ended without a Close frame");
            rest.extend_from_slice(&buffer[..n]);
        }
    }
    assert_eq!(take(&log, "flow-closed", count), opened);
    assert!(program.0.wait().unwrap().success());
    assert!(log.recv().is_err(), "something else came at the end");
}

/// To the byte, but for what is set up once, however many flows there were: the transport, and the registrar that was told.
#[test]
fn all_memory_is_given_back() {
    // Both ends are here, and another test has descriptors of its own.
    let count = flows() / 5;
    let mut transport = Transport::new(Settings::default()).unwrap();
    let address = transport.listen("ws:127.0.0.1:0".parse().unwrap()).unwrap();
    let mut config = ws_sip::proxy::Config::default();
    config.host = "127.0.0.1".into();
    let mut proxy = Proxy::new(config, 7).unwrap();
    let mut round = |count: usize| {
        let (connected, connections) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let peers = thread::spawn(move || {
            let peers = open_to(address, count);
            connected.send(()).unwrap();
            gone.recv().unwrap();
            drop(peers);
        });
        let (mut opened, mut closed) = (0, 0);
        let mut is_idle = false;
        while closed < count {
            let (opened, closed) = (&mut opened, &mut closed);
            transport
                .poll(Some(Duration::from_millis(1)), |flows, event| match event {
                    FlowEvent::Opened { flow, .. } => {
                        proxy.handle_flow_opened(flow, FlowInfo { secure: false, peer: None });
                        *opened += 1;
                    }
                    FlowEvent::Closed { flow, .. } => {
                        proxy.handle_flow_closed(Duration::from_nanos(flows.now().as_nanos()), flow);
                        *closed += 1;
                    }
                    _ => {}
                })
                .unwrap();
            if !is_idle && connections.try_recv().is_ok() {
                is_idle = true;
                go.send(()).unwrap();
            }
        }
        peers.join().unwrap();
        assert_eq!((opened, transport.flows().len()), (count, 0));
    };
    // What few take is set up once: tables of the smallest size.
    round(10);
    let info = allocation_counter::measure(|| round(count));
    println!("{count} flows: {} bytes at most, {} left", info.bytes_max, info.bytes_current);
    assert!(info.bytes_max > 200 * count as u64, "{info:?}");
    assert!(info.bytes_current < 100_000, "{info:?}");
}
