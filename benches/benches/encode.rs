//! The group `encode`.

mod group;

fn main() {
    group::run("encode");
}
