//! Digest authentication of SIP requests (RFC 3261 section 22, RFC 8760) against a file of users.

mod digest;
mod users;

use core::fmt;
use core::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

pub(crate) use users::Change;
pub use users::{Users, UsersError};

use crate::flow::FlowId;
use digest::{Algorithm, Credentials};

/// How long a nonce is good for. A client that comes later is told that its nonce alone was stale.
const NONCE_LIFETIME: Duration = Duration::from_secs(300);

/// Challenges clients, and checks what they answer.
///
/// A nonce holds when it was made and for which flow, under a key of this process: nothing is remembered of a
/// challenge, and what was overheard on one flow is worth nothing on another.
pub struct Authenticator {
    users: Users,
    realm: String,
    keyed: Hmac<Sha1>,
}

/// What a request proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This user sent it.
    User(String),
    /// Nothing: it has no credentials for the realm.
    Missing,
    /// The credentials are right, but their nonce is too old.
    Stale,
    /// The credentials are wrong.
    Wrong,
}

/// What a request says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The flow it came over.
    pub flow: FlowId,
    /// Its method.
    pub method: &'a str,
    /// Its Request-URI.
    pub uri: &'a str,
}

impl Authenticator {
    /// Returns one for `users` in `realm`, usually the domain. `key` must come from the operating system's random
    /// numbers. Control characters are left out of the realm.
    #[must_use]
    pub fn new(users: Users, realm: impl Into<String>, key: &[u8; 32]) -> Self {
        // HMAC takes keys of any length.
        let keyed = Hmac::new_from_slice(key).expect("any length will do");
        let mut realm = realm.into();
        realm.retain(|c| !c.is_control());
        Self { users, realm, keyed }
    }

    /// Puts other users in place of those known, and returns these.
    pub(crate) const fn replace_users(&mut self, users: Users) -> Users {
        core::mem::replace(&mut self.users, users)
    }

    pub(crate) const fn users(&self) -> &Users {
        &self.users
    }

    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    /// Returns the values of the challenges for a flow, one an algorithm, the strongest first.
    pub fn challenges(&self, now: Duration, flow: FlowId, stale: bool) -> impl Iterator<Item = String> {
        let nonce = self.nonce(now, flow);
        let stale = if stale { ", stale=true" } else { "" };
        Algorithm::ALL.into_iter().map(move |algorithm| {
            let realm = self.realm.replace('\\', "\\\\").replace('"', "\\\"");
            let algorithm = algorithm.name();
            format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", qop=\"auth\", algorithm={algorithm}{stale}")
        })
    }

    /// Checks the values of the Authorization, or Proxy-Authorization, header fields of a request.
    pub fn check<'v>(
        &self,
        now: Duration,
        claim: &Claim<'_>,
        values: impl Iterator<Item = &'v [u8]>,
    ) -> Verdict {
        let mut verdict = Verdict::Missing;
        for value in values {
            let credentials = core::str::from_utf8(value).ok().and_then(Credentials::parse);
            let Some(credentials) = credentials.filter(|found| found.realm == self.realm) else { continue };
            verdict = self.check_one(now, claim, &credentials);
            if matches!(verdict, Verdict::User(_)) {
                break;
            }
        }
        verdict
    }

    fn check_one(&self, now: Duration, claim: &Claim<'_>, credentials: &Credentials) -> Verdict {
        let Some(algorithm) = credentials.algorithm() else { return Verdict::Wrong };
        let ha1 = self.users.ha1(&credentials.username, &self.realm, algorithm);
        let Some(made_at) = self.nonce_time(claim.flow, &credentials.nonce) else {
            // A nonce of an earlier flow or run: the client may well know the password.
            return Verdict::Stale;
        };
        // An unknown user takes as long as a known one.
        let proven = credentials.proves(algorithm, ha1.as_deref().unwrap_or("-"), claim.method);
        if !proven || ha1.is_none() || credentials.uri != claim.uri {
            Verdict::Wrong
        } else if now.saturating_sub(made_at) > NONCE_LIFETIME {
            Verdict::Stale
        } else {
            Verdict::User(credentials.username.clone())
        }
    }

    /// Returns a word that nobody else can write: who sent a request of this Call-ID over `flow` called `name`, and has
    /// proven to be the user `caller`, unless that is empty.
    pub(crate) fn seal(&self, flow: FlowId, call_id: &[u8], name: &[u8], caller: &[u8]) -> String {
        let mut mac = self.keyed.clone();
        // Longer than what goes into a nonce, so that neither is ever the other.
        mac.update(b"callee of ");
        mac.update(&flow.0.to_be_bytes());
        for part in [call_id, name, caller] {
            mac.update(&part.len().to_be_bytes());
            mac.update(part);
        }
        let mac: [u8; 20] = mac.finalize().into_bytes().into();
        URL_SAFE_NO_PAD.encode(&mac[..12])
    }

    /// Returns whether a word is that [`seal`](Self::seal).
    pub(crate) fn is_seal(
        &self,
        word: &[u8],
        flow: FlowId,
        call_id: &[u8],
        name: &[u8],
        caller: &[u8],
    ) -> bool {
        let seal = self.seal(flow, call_id, name, caller);
        let differs = word.iter().zip(seal.as_bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
        word.len() == seal.len() && differs == 0
    }

    fn nonce(&self, now: Duration, flow: FlowId) -> String {
        let seconds = now.as_secs().to_be_bytes();
        let mut nonce = [0; 28];
        nonce[..8].copy_from_slice(&seconds);
        nonce[8..].copy_from_slice(&self.mac(seconds, flow));
        URL_SAFE_NO_PAD.encode(nonce)
    }

    /// Returns when a nonce was made, if it was made here for this flow.
    fn nonce_time(&self, flow: FlowId, nonce: &str) -> Option<Duration> {
        let nonce = URL_SAFE_NO_PAD.decode(nonce).ok().filter(|nonce| nonce.len() == 28)?;
        let (seconds, mac) = nonce.split_first_chunk()?;
        let differs = mac.iter().zip(self.mac(*seconds, flow)).fold(0, |differs, (a, b)| differs | (a ^ b));
        (differs == 0).then(|| Duration::from_secs(u64::from_be_bytes(*seconds)))
    }

    fn mac(&self, seconds: [u8; 8], flow: FlowId) -> [u8; 20] {
        let mut mac = self.keyed.clone();
        mac.update(&seconds);
        mac.update(&flow.0.to_be_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("users", &self.users).field("realm", &self.realm).finish()
    }
}

/// What a client answers to a challenge.
#[cfg(test)]
pub(crate) fn answer(challenge: &str, user: &str, password: &str, method: &str, uri: &str) -> String {
    let challenge = Credentials::parse(challenge).unwrap();
    let algorithm = challenge.algorithm().unwrap();
    let ha1 = digest::hash(algorithm, &[user, &challenge.realm, password]);
    let ha2 = digest::hash(algorithm, &[method, uri]);
    let response = digest::hash(algorithm, &[&ha1, &challenge.nonce, "00000001", "c", "auth", &ha2]);
    format!(
        "Digest username=\"{user}\", realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", response=\"{response}\", \
         algorithm={}, cnonce=\"c\", qop=auth, nc=00000001",
        challenge.realm.replace('\\', "\\\\").replace('"', "\\\""),
        challenge.nonce,
        algorithm.name()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn authenticator() -> Authenticator {
        Authenticator::new("alice::secret".parse().unwrap(), "example.com", &[3; 32])
    }

    #[test]
    fn who_knows_the_password_is_who_he_says() {
        let auth = authenticator();
        let claim = Claim { flow: FlowId(1), method: "REGISTER", uri: "sip:example.com" };
        let check =
            |now, claim: &Claim<'_>, value: &str| auth.check(now, claim, [value.as_bytes()].into_iter());
        let challenges: Vec<_> = auth.challenges(NOW, FlowId(1), false).collect();
        assert!(challenges[0].contains("algorithm=SHA-256") && challenges[1].contains("algorithm=MD5"));
        for challenge in &challenges {
            let good = answer(challenge, "alice", "secret", "REGISTER", claim.uri);
            assert_eq!(check(NOW, &claim, &good), Verdict::User("alice".into()));
            assert_eq!(check(NOW + NONCE_LIFETIME, &claim, &good), Verdict::User("alice".into()));
            assert_eq!(check(NOW + NONCE_LIFETIME * 2, &claim, &good), Verdict::Stale);
            // Overheard, it is worth nothing on another flow or for another request.
            assert_eq!(check(NOW, &Claim { flow: FlowId(2), ..claim }, &good), Verdict::Stale);
            assert_eq!(check(NOW, &Claim { method: "INVITE", ..claim }, &good), Verdict::Wrong);
            assert_eq!(check(NOW, &Claim { uri: "sip:other.example", ..claim }, &good), Verdict::Wrong);
            for (user, password) in [("alice", "Secret"), ("bob", "secret"), ("", "")] {
                assert_eq!(
                    check(NOW, &claim, &answer(challenge, user, password, "REGISTER", claim.uri)),
                    Verdict::Wrong
                );
            }
            let other_realm = good.replace("realm=\"example.com\"", "realm=\"example.org\"");
            assert_eq!(check(NOW, &claim, &other_realm), Verdict::Missing);
            assert_eq!(check(NOW, &claim, &good.replace("qop=auth", "qop=auth-int")), Verdict::Wrong);
            assert_eq!(check(NOW, &claim, &good.replace("algorithm=", "algorithm=X")), Verdict::Wrong);
        }
        assert_eq!(auth.check(NOW, &claim, core::iter::empty()), Verdict::Missing);
        assert!(auth.challenges(NOW, FlowId(1), true).all(|value| value.ends_with(", stale=true")));
    }

    /// What the client reads is what is hashed (RFC 3261 section 25.1, quoted-string).
    #[test]
    fn a_realm_is_quoted() {
        let auth = Authenticator::new("alice::secret".parse().unwrap(), "a\"b\\c\r\n", &[3; 32]);
        let claim = Claim { flow: FlowId(1), method: "REGISTER", uri: "sip:example.com" };
        for challenge in auth.challenges(NOW, FlowId(1), false) {
            assert!(challenge.starts_with(r#"Digest realm="a\"b\\c", nonce="#), "{challenge}");
            let good = answer(&challenge, "alice", "secret", "REGISTER", claim.uri);
            let verdict = auth.check(NOW, &claim, [good.as_bytes()].into_iter());
            assert_eq!(verdict, Verdict::User("alice".into()));
        }
    }
}
