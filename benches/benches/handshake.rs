//! The group `handshake`.

mod group;

fn main() {
    group::run("handshake");
}
