//! What the programs share: the options that select a part of the suite, and how to count under valgrind.

use lexopt::Arg;

use crate::suite::Case;

/// The value of `GLIBC_TUNABLES` for callgrind: it counts each byte that `rep movsb` moves as an instruction, so
/// memcpy and memset are to use vectors, as they do for short data anyway.
pub const WITHOUT_REP: &str =
    "glibc.cpu.x86_rep_movsb_threshold=1000000000:glibc.cpu.x86_rep_stosb_threshold=1000000000";

/// What was asked for; everything if nothing was.
#[derive(Default)]
pub struct Selection {
    groups: Vec<String>,
    cases: Vec<String>,
    contestants: Vec<String>,
}

impl Selection {
    /// Reads `--group`, `--case` and `--contestant`, each any number of times; other options go to
    /// `other` with their value, which tells whether it knows them. Ends the program on a fault.
    pub fn from_arguments(mut other: impl FnMut(&str, &str) -> bool) -> Self {
        Self::parse(&mut other).unwrap_or_else(|error| {
            eprintln!("{error}");
            std::process::exit(2);
        })
    }

    fn parse(other: &mut dyn FnMut(&str, &str) -> bool) -> Result<Self, lexopt::Error> {
        let mut selection = Self::default();
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            let Arg::Long(name) = argument else { return Err(argument.unexpected()) };
            let name = name.to_owned();
            let value = parser.value()?.into_string()?;
            match &name[..] {
                "group" => selection.groups.push(value),
                "case" => selection.cases.push(value),
                "contestant" => selection.contestants.push(value),
                _ if other(&name, &value) => {}
                _ => return Err(format!("--{name} {value}: not understood").into()),
            }
        }
        Ok(selection)
    }

    /// Whether the case takes part.
    pub fn takes(&self, case: &Case) -> bool {
        (self.groups.is_empty() || self.groups.iter().any(|group| group == case.group))
            && (self.cases.is_empty() || self.cases.iter().any(|text| case.name.contains(&text[..])))
    }

    /// Whether the contestant takes part.
    pub fn takes_contestant(&self, name: &str) -> bool {
        self.contestants.is_empty() || self.contestants.iter().any(|text| name.contains(&text[..]))
    }
}
