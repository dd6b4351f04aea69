//! The accept loop goes on when the process runs out of file descriptors. Alone in its program, whose limit it lowers.
#![cfg(unix)]

use std::fs::File;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit, setrlimit};
use ws_smol::Listener;

#[test]
fn running_out_of_file_descriptors() {
    let hoard = Arc::new(Mutex::new(Vec::new()));
    let faults = Arc::new(Mutex::new(Vec::new()));
    let listener = Listener::bind("127.0.0.1:0").unwrap().on_fault({
        let (hoard, faults) = (Arc::clone(&hoard), Arc::clone(&faults));
        move |error| {
            faults.lock().unwrap().push(error.raw_os_error());
            // Someone closes a file.
            hoard.lock().unwrap().pop();
        }
    });
    let address = listener.local_addr().unwrap();

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(100);
    setrlimit(Resource::Nofile, limit).unwrap();
    for round in 1..=3 {
        while let Ok(file) = File::open("/dev/null") {
            hoard.lock().unwrap().push(file);
        }
        // One for the client; there is none for the server.
        hoard.lock().unwrap().pop();
        let client = TcpStream::connect(address).unwrap();
        let (_stream, peer) = smol::block_on(listener.accept()).unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(*faults.lock().unwrap(), vec![Some(Errno::MFILE.raw_os_error()); round]);
    }
}
