//! What a connection takes from the heap. A program of its own, for its counting allocator.
#![cfg(unix)]

use std::net::{TcpListener, TcpStream};
use std::thread;

use ws_core::frame::{Header, Opcode};
use ws_std::{ClientBuilder, WebSocket};

fn pair() -> (WebSocket, WebSocket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let client = thread::spawn(|| ClientBuilder::new("ws://localhost/").connect_over(connected).unwrap());
    let server = ws_std::accept(listener.accept().unwrap().0, &Default::default()).unwrap();
    (server, client.join().unwrap())
}

/// Sends `len` bytes and receives as many.
fn exchange(client: &mut WebSocket, len: usize) {
    client.send_binary(&vec![1; len]).unwrap();
    assert_eq!(client.read().unwrap().unwrap().len(), len);
}

/// Once a message is answered all its memory is given back when the next is waited for; small ones take hardly
/// more than their own.
#[test]
fn nothing_is_held_between_messages() {
    let (mut server, mut client) = pair();
    let client = thread::spawn(move || {
        exchange(&mut client, 10);
        for _ in 0..100 {
            exchange(&mut client, 1000);
        }
        client.ping(b"").unwrap();
        exchange(&mut client, 100_000);
        exchange(&mut client, 10);
        client.close(None, "").unwrap();
    });
    let mut answer = || {
        let message = server.read().unwrap()?;
        server.send(message).unwrap();
        Some(())
    };
    // From here on the thread has the buffer that it waits with.
    answer().unwrap();
    let small = allocation_counter::measure(|| {
        for _ in 0..100 {
            answer().unwrap();
        }
    });
    // The message and its frame.
    assert!(small.bytes_max < 2500, "{small:?}");
    let all = allocation_counter::measure(|| while answer().is_some() {});
    assert!(all.bytes_max < 450_000, "{all:?}");
    // The frame that was last sent before the first of these was taken is counted when it is given back.
    assert!(all.bytes_current <= 0, "{all:?}");
    client.join().unwrap();
}

/// A message lent and answered in place takes the memory of the answer.
#[test]
fn a_lent_message_takes_nothing() {
    let (mut server, mut client) = pair();
    let client = thread::spawn(move || {
        for _ in 0..101 {
            exchange(&mut client, 1000);
        }
        client.close(None, "").unwrap();
    });
    let mut answer = || {
        server.read_ref(|message, replies| replies.send(&message)).unwrap().unwrap().unwrap();
        server.flush().unwrap();
    };
    answer();
    let counted = allocation_counter::measure(|| (0..100).for_each(|_| answer()));
    assert_eq!((counted.count_total, counted.bytes_current), (100, 0), "{counted:?}");
    assert_eq!(server.read().unwrap(), None);
    client.join().unwrap();
}

/// Memory follows what arrived, not what was announced.
#[test]
fn nothing_is_taken_on_account_of_a_declared_length() {
    use std::io::Write as _;
    let (mut server, client) = pair();
    let mut stream = client.into_parts().stream;
    let header = Header { fin: true, rsv: 0, opcode: Opcode::Binary, key: Some([0; 4]), len: 16 << 20 };
    let (bytes, len) = header.write();
    stream.write_all(&bytes[..len]).unwrap();
    stream.write_all(&[0; 3000]).unwrap();
    drop(stream);
    let counted = allocation_counter::measure(|| assert!(server.read().is_err()));
    assert!(counted.bytes_max < 50_000, "{counted:?}");
}
