//! Which module's parameter is which setting.

use crate::settings::{Kind, PARAMETERS, Parameter};

/// What a `modparam` sets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    Setting(&'static Parameter),
    /// The address of HTTP management, whose port is a parameter of its own.
    HttpIp,
    HttpPort,
}

impl Target {
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Setting(parameter) => parameter.kind,
            Self::HttpIp => Kind::Text,
            Self::HttpPort => Kind::Integer,
        }
    }
}

/// The modules whose parameters go by other names here.
const RENAMED: &[(&str, &[(&str, &str)])] = &[
    (
        "mi_fifo",
        &[("fifo_name", "mi_fifo"), ("fifo_mode", "mi_fifo_mode"), ("reply_dir", "mi_fifo_reply_dir")],
    ),
    ("mi_datagram", &[("socket_name", "mi_datagram")]),
    ("httpd", &[("ip", "mi_http"), ("port", "mi_http")]),
    ("mi_http", &[("root", "mi_http_root")]),
];

/// Returns the parameters of a module by their names there, or `None` if there is no such module.
pub(super) fn parameters(module: &str) -> Option<Vec<(&'static str, Target)>> {
    let own = |belongs: fn(&str) -> bool| {
        let own = PARAMETERS.iter().filter(|parameter| belongs(parameter.name));
        Some(own.map(|parameter| (parameter.name, Target::Setting(parameter))).collect())
    };
    match module {
        "proto_hep" => own(is_hep),
        "proto_ws" => own(|name| !is_hep(name) && !name.starts_with("mi_")),
        _ => {
            let (_, names) = RENAMED.iter().find(|(name, _)| *name == module)?;
            let target = |name, parameter| match (module, name) {
                ("httpd", "ip") => Some(Target::HttpIp),
                ("httpd", _) => Some(Target::HttpPort),
                _ => PARAMETERS.iter().find(|known| known.name == parameter).map(Target::Setting),
            };
            Some(
                names
                    .iter()
                    .filter_map(|&(name, parameter)| Some((name, target(name, parameter)?)))
                    .collect(),
            )
        }
    }
}

/// Returns the names of all modules that have parameters.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ["proto_ws", "proto_hep"].into_iter().chain(RENAMED.iter().map(|(name, _)| *name))
}

fn is_hep(name: &str) -> bool {
    name.starts_with("hep_") || name == "homer5_on"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_belongs_to_one_module() {
        for parameter in PARAMETERS {
            let modules = names().filter(|module| {
                parameters(module).unwrap().iter().any(|(name, target)| match target {
                    Target::Setting(found) => found.name == parameter.name,
                    Target::HttpIp => parameter.name == "mi_http",
                    Target::HttpPort => {
                        assert_eq!(*name, "port");
                        false
                    }
                })
            });
            assert_eq!(modules.count(), 1, "{}", parameter.name);
        }
        assert!(parameters("tm").is_none());
    }
}
