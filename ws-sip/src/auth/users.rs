use core::fmt;
use core::str::FromStr;
use std::collections::HashMap;

use super::digest::{Algorithm, hash};

/// The users that may register, and what proves that they are who they say.
///
/// A line a user, `#` starts a comment:
///
/// ```text
/// alice::secret                                  a password in clear
/// bob:example.com:939e7578ed9e3c518a452acee763bce9   what `htdigest` writes: MD5 of bob:example.com:password
/// ```
///
/// A third part of 64 hexadecimal digits is the SHA-256 of the same; a user may have a line for each.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Users(HashMap<String, Secrets>);

#[derive(Clone, Default, PartialEq, Eq)]
struct Secrets {
    password: Option<String>,
    /// HA1 by realm, in lower-case hexadecimal digits.
    hashes: Vec<(String, Algorithm, String)>,
}

/// What became of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Gone,
    Secret,
}

impl Users {
    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns those who are not in `other`, or have another secret for `realm` there.
    pub(crate) fn changed_in<'u>(
        &'u self,
        other: &Self,
        realm: &str,
    ) -> impl Iterator<Item = (&'u str, Change)> {
        self.0.iter().filter_map(move |(user, secrets)| match other.0.get(user) {
            Some(now) if now == secrets || self.is_kept_in(other, user, realm) => None,
            Some(_) => Some((user.as_str(), Change::Secret)),
            None => Some((user.as_str(), Change::Gone)),
        })
    }

    /// Returns whether what `user` has proven stands in `other`. By which hash it was proven is not known; so each must be
    /// there still, unless a password says that one of them is as good as the others.
    fn is_kept_in(&self, other: &Self, user: &str, realm: &str) -> bool {
        let hashes = Algorithm::ALL
            .map(|algorithm| (self.ha1(user, realm, algorithm), other.ha1(user, realm, algorithm)));
        let had_password = self.0.get(user).is_some_and(|secrets| secrets.password.is_some());
        let is_same = |(was, is): &(Option<String>, Option<String>)| was.is_some() && was == is;
        let may_differ = |(was, is): &(Option<String>, Option<String>)| {
            was.is_none() || was == is || had_password && is.is_none()
        };
        hashes.iter().any(is_same) && hashes.iter().all(may_differ)
    }

    /// Returns the hash of user, realm and password (RFC 7616, section 3.4.2), if the user is known to the realm.
    pub(super) fn ha1(&self, user: &str, realm: &str, algorithm: Algorithm) -> Option<String> {
        let secrets = self.0.get(user)?;
        if let Some(password) = &secrets.password {
            return Some(hash(algorithm, &[user, realm, password]));
        }
        let is_it = |(of, by, _): &&(String, Algorithm, String)| of == realm && *by == algorithm;
        secrets.hashes.iter().find(is_it).map(|(_, _, hash)| hash.clone())
    }
}

impl FromStr for Users {
    type Err = UsersError;

    fn from_str(text: &str) -> Result<Self, UsersError> {
        let mut users = Self::default();
        for (number, line) in text.lines().enumerate() {
            let error = |what| UsersError { line: number + 1, what };
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut parts = line.splitn(3, ':');
            let (Some(user), Some(realm), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
                return Err(error("expected user:realm:hash or user::password"));
            };
            if user.is_empty() || secret.is_empty() {
                return Err(error("the user and the secret must not be empty"));
            }
            let secrets = users.0.entry(user.into()).or_default();
            if realm.is_empty() {
                if secrets.password.replace(secret.into()).is_some() {
                    return Err(error("the user has a password already"));
                }
                continue;
            }
            let algorithm = match secret.len() {
                32 => Algorithm::Md5,
                64 => Algorithm::Sha256,
                _ => return Err(error("expected 32 or 64 hexadecimal digits")),
            };
            if !secret.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(error("expected 32 or 64 hexadecimal digits"));
            }
            if secrets.hashes.iter().any(|(of, by, _)| of == realm && *by == algorithm) {
                return Err(error("the user has such a hash already"));
            }
            secrets.hashes.push((realm.into(), algorithm, secret.to_ascii_lowercase()));
        }
        Ok(users)
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Secrets stay out of logs.
        write!(f, "Users({})", self.0.len())
    }
}

/// What is wrong with a users file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsersError {
    /// The line, from 1.
    pub line: usize,
    what: &'static str,
}

impl fmt::Display for UsersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.what)
    }
}

impl core::error::Error for UsersError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_proven_stands_while_its_secret_does() {
        let of = |algorithm, password| {
            let ha1 = hash(algorithm, &["alice", "x", password]);
            format!("alice:x:{ha1}\n")
        };
        let plain = "alice::secret\n".to_owned();
        let [md5, sha] = [Algorithm::Md5, Algorithm::Sha256].map(|algorithm| of(algorithm, "secret"));
        let other_md5 = of(Algorithm::Md5, "other");
        let other_sha = of(Algorithm::Sha256, "other");
        let both = format!("{md5}{sha}");
        for (was, is, is_kept) in [
            (&plain, &md5, true),
            (&plain, &sha, true),
            (&plain, &both, true),
            (&both, &plain, true),
            (&md5, &plain, true),
            (&md5, &both, true),
            (&sha, &both, true),
            (&plain, &format!("{plain}{other_md5}"), true),
            // It may be the hash that is gone by which the user was known.
            (&both, &md5, false),
            (&md5, &sha, false),
            (&md5, &other_md5, false),
            (&plain, &other_md5, false),
            (&plain, &format!("{md5}{other_sha}"), false),
            (&both, &format!("{md5}{other_sha}"), false),
            (&md5, &md5.replace(":x:", ":y:"), false),
            (&plain, &"alice::other".to_owned(), false),
        ] {
            let [was_users, is_users] = [was, is].map(|text| text.parse::<Users>().unwrap());
            let changed: Vec<_> = was_users.changed_in(&is_users, "x").collect();
            let expected = if is_kept { vec![] } else { vec![("alice", Change::Secret)] };
            assert_eq!(changed, expected, "{was} to {is}");
        }
    }

    #[test]
    fn a_line_a_user() {
        let users: Users =
            "# phones\n\nalice::se:cret\nbob:example.com:939E7578ed9e3c518a452acee763bce9\n".parse().unwrap();
        assert_eq!(users.len(), 2);
        let md5 = hash(Algorithm::Md5, &["alice", "x", "se:cret"]);
        assert_eq!(users.ha1("alice", "x", Algorithm::Md5), Some(md5));
        assert_eq!(
            users.ha1("bob", "example.com", Algorithm::Md5).unwrap(),
            "939e7578ed9e3c518a452acee763bce9"
        );
        assert_eq!(users.ha1("bob", "example.com", Algorithm::Sha256), None);
        assert_eq!(users.ha1("bob", "other", Algorithm::Md5), None);
        assert_eq!(users.ha1("carol", "x", Algorithm::Md5), None);
        assert!(!format!("{users:?}").contains("cret"));
        for (text, line) in [
            ("alice", 1),
            ("alice::a\nalice::b", 2),
            ("\n:x:y", 2),
            ("a::", 1),
            ("a:b:c", 1),
            ("a:b:zz9e7578ed9e3c518a452acee763bce9", 1),
        ] {
            assert_eq!(text.parse::<Users>().unwrap_err().line, line, "{text}");
        }
    }
}
