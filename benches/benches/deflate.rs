//! The group `deflate`.

mod group;

fn main() {
    group::run("deflate");
}
