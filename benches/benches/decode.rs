//! The group `decode`.

mod group;

fn main() {
    group::run("decode");
}
