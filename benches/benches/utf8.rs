//! The group `utf8`.

mod group;

fn main() {
    group::run("utf8");
}
