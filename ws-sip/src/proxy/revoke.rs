//! What ends when a user is taken out of the users file, or gets another secret.

use core::time::Duration;
use std::collections::HashSet;

use super::Proxy;
use crate::auth::{Change, Users};
use crate::memory::give_back;
use crate::sip::Unescaped;

impl Proxy {
    /// Puts other users in place of those of the authenticator, if there is one. Who is not among them any more, or has
    /// another secret, has proven nothing from now on, but for the ACK of an INVITE that was proven before; and the bindings of who is gone end. Those of who has another secret
    /// last until they expire or their flow closes.
    pub fn set_users(&mut self, now: Duration, users: Users) {
        let Some(auth) = &mut self.authenticator else { return };
        let old = auth.replace_users(users);
        let changed: Vec<(&str, Change)> = old.changed_in(auth.users(), auth.realm()).collect();
        if changed.is_empty() {
            return;
        }
        let names: HashSet<&str> = changed.iter().map(|(user, _)| *user).collect();
        self.proven.retain(|_, users| {
            users.retain(|user| !names.contains(user.as_str()));
            !users.is_empty()
        });
        give_back(&mut self.proven);
        let gone: HashSet<Vec<u8>> = changed
            .iter()
            .filter(|(_, change)| *change == Change::Gone)
            .map(|(user, _)| Unescaped(user.as_bytes()).collect())
            .collect();
        self.registrar.remove_users(now, |user| gone.contains(user));
    }
}
