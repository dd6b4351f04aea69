//! Memory of what there was much of, given back when there is little of it.

use core::hash::Hash;
use std::collections::HashMap;

/// Room that a map may keep in any case.
const KEPT: usize = 1024;

/// Gives back the room of a map that is nearly empty now. After each removal: the work is spread over those that it took to
/// come here.
pub(crate) fn give_back<K: Hash + Eq, V>(map: &mut HashMap<K, V>) {
    if map.capacity() > KEPT && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_follows_what_is_there() {
        let mut map: HashMap<u32, u64> = HashMap::new();
        let mut moves = 0;
        for round in 0..3 {
            map.extend((0..100_000).map(|key| (key, 0)));
            for key in 0..100_000 {
                map.remove(&key);
                let before = map.capacity();
                give_back(&mut map);
                moves += usize::from(map.capacity() < before);
                assert!(map.capacity() <= (map.len() * 8).max(KEPT) + 8, "round {round}");
            }
        }
        assert!(moves < 40, "{moves}");
    }
}
