//! The group `mask`.

mod group;

fn main() {
    group::run("mask");
}
