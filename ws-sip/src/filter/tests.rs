use core::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn ends(peer: &str, local: &str) -> Ends {
    Ends { peer: peer.parse().unwrap(), local: local.parse().unwrap(), is_incoming: true, is_secure: false }
}

fn traces(route: &str, ends: &Ends) -> bool {
    route.parse::<Route>().unwrap_or_else(|error| panic!("{route}: {error}")).traces(ends)
}

#[test]
fn only_drop_leaves_a_connection_out() {
    let any = ends("1.1.1.1:8000", "1.1.1.10:5060");
    for (route, traced) in [
        ("", true),
        (";;", true),
        ("exit;", true),
        ("return;", true),
        ("return(-1);", true),
        ("drop;", false),
        ("drop();", false),
        ("exit; drop;", true),
        ("{ { drop; } } exit;", false),
        ("if ($sp == 1) drop;", true),
        ("if ($sp == 8000) drop;", false),
        ("if ($sp == 8000) ; else drop;", true),
        ("if ($sp == 1) exit; else if ($sp == 8000) drop; else exit;", false),
        ("if ($sp == 8000) if ($si == '1.1.1.1') exit; else drop; drop;", true),
        ("if ($sp == 8000) { if ($sp == 1) exit; } else exit; drop;", false),
    ] {
        assert_eq!(traces(route, &any), traced, "{route}");
    }
}

#[test]
fn conditions() {
    let any = ends("1.1.1.1:8000", "[2001:db8::1]:5060");
    for (condition, holds) in [
        (r#"$si == "1.1.1.1""#, true),
        (r#""1.1.1.1" == $si"#, true),
        (r#"$si != "1.1.1.1""#, false),
        ("$si == $socket_in(ip)", false),
        (r#"$socket_in(ip) == "2001:DB8:0::1""#, true),
        (r#"$socket_in(ip) == "[2001:db8::1]""#, true),
        ("$socket_in(port) == 5060 && $sp == 8000", true),
        ("$socket_in(port) == $sp", false),
        ("$sp == 1 || $sp == 8000 && $sp != 1", true),
        ("($sp == 8000 || $sp == 1) && $sp == 1", false),
        ("!$sp == 1", true),
        ("!!($sp == 1)", false),
        ("1 == 1 && 'a' == \"a\"", true),
        ("'a' == 'b'", false),
        ("$sp == -1", false),
    ] {
        assert_eq!(traces(&format!("if ({condition}) exit; drop;"), &any), holds, "{condition}");
    }
    let mapped = ends("[::ffff:1.1.1.1]:8000", "1.1.1.10:5060");
    assert!(traces(r#"if ($si == "1.1.1.1") exit; drop;"#, &mapped));
}

#[test]
fn what_is_wrong_is_told_where_it_is() {
    for (route, error) in [
        ("if $sp", "1:4: expected `(`, found `$sp`"),
        ("if ($sp)", "1:8: expected `==` or `!=`, found `)`"),
        ("if ($sp == 1", "1:13: expected `)`, found the end"),
        ("exit", "1:5: expected `;`, found the end"),
        ("\n  forward();", "2:3: expected `if`, `exit`, `drop`, `return`, `{` or `}`, found `forward`"),
        ("{ exit;", "1:8: expected `if`, `exit`, `drop`, `return`, `{` or `}`, found the end"),
        ("exit; }", "1:7: expected `if`, `exit`, `drop`, `return`, `{` or `}`, found `}`"),
        ("else drop;", "1:1: expected `if`, `exit`, `drop`, `return`, `{` or `}`, found `else`"),
        (r#"if ($si == "1.1.1") exit;"#, "1:12: expected an IP address, found \"1.1.1\""),
        (r#"if ("x" == $si) exit;"#, "1:5: expected an IP address, found \"x\""),
        ("if ($si == 1) exit;", "1:12: expected an address in quotes, found `1`"),
        (r#"if ($sp == "1") exit;"#, "1:12: expected a number, found \"1\""),
        (
            "if ($ru == 1) exit;",
            "1:5: expected `$si`, `$sp`, `$socket_in(ip)`, `$socket_in(port)`, a string, a number, `!` or `(`, found `$ru`",
        ),
        (
            "if ($socket_in(proto) == 1) exit;",
            "1:5: expected `$si`, `$sp`, `$socket_in(ip)`, `$socket_in(port)`, a string, a number, `!` or `(`, \
             found `$socket_in(proto)`",
        ),
        ("exit(1);", "1:6: expected `)`, found `1`"),
        ("if ($sp = 1) exit;", "1:9: expected `==` or `!=`, found `=`"),
    ] {
        assert_eq!(route.parse::<Route>().unwrap_err().to_string(), error, "{route}");
    }
}

#[test]
fn nesting_has_a_bound_that_is_told() {
    let any = ends("1.1.1.1:8000", "1.1.1.10:5060");
    for (open, inner, close) in
        [("{", "drop;", "}"), ("if (1 == 1) ", "drop;", ""), ("(", "1 == 1", ")"), ("!", "1 == 1", "")]
    {
        let route = |levels: usize| {
            let nested = format!("{}{inner}{}", open.repeat(levels), close.repeat(levels));
            if inner == "drop;" { nested } else { format!("if ({nested}) drop; drop;") }
        };
        assert!(!traces(&route(62), &any), "{open}");
        for levels in [65, 100_000] {
            let error = route(levels).parse::<Route>().unwrap_err();
            assert_eq!(error.message, "expected at most 64 levels of nesting", "{open}");
            assert_eq!(error.at.line, 1);
        }
    }
    // What is long and not deep has no bound.
    let chain = format!("if (1 == 2) exit; {} else drop;", "else if (1 == 2) exit; ".repeat(50_000));
    assert!(!traces(&chain, &any));
    let list = format!("if (1 == 2 {}) drop;", "|| !$sp != 8000 ".repeat(50_000));
    assert!(!traces(&list, &any));
}

#[test]
fn a_closure_is_a_filter_too() {
    let filter = TraceFilter::new(|ends| ends.peer.port() == 8000);
    assert!(filter.traces(&ends("1.1.1.1:8000", "1.1.1.10:5060")));
    assert!(!filter.traces(&ends("1.1.1.1:8001", "1.1.1.10:5060")));
    let filter = TraceFilter::from("drop;".parse::<Route>().unwrap());
    assert!(!filter.traces(&ends("1.1.1.1:8000", "1.1.1.10:5060")));
}

/// The language once more, in the plainest form.
#[derive(Clone, Debug)]
enum Naive {
    Leave(&'static str),
    Block(Vec<Self>),
    If(NaiveCondition, Box<Self>, Option<Box<Self>>),
}

#[derive(Clone, Debug)]
enum NaiveCondition {
    Compare(&'static str, bool, &'static str),
    Both(Box<Self>, Box<Self>),
    Either(Box<Self>, Box<Self>),
    Not(Box<Self>),
}

impl Naive {
    /// Returns the word the route ends with.
    fn run(&self, look_up: &dyn Fn(&str) -> String) -> Option<&'static str> {
        match self {
            Self::Leave(word) => Some(word),
            Self::Block(statements) => {
                for statement in statements {
                    if let Some(word) = statement.run(look_up) {
                        return Some(word);
                    }
                }
                None
            }
            Self::If(condition, then, otherwise) => {
                if condition.holds(look_up) {
                    then.run(look_up)
                } else {
                    otherwise.as_ref()?.run(look_up)
                }
            }
        }
    }

    fn write(&self, text: &mut String, space: &str) {
        match self {
            Self::Leave(word) => write!(text, "{word}{space};").unwrap(),
            Self::Block(statements) => {
                text.push('{');
                for statement in statements {
                    text.push_str(space);
                    statement.write(text, space);
                }
                text.push('}');
            }
            Self::If(condition, then, otherwise) => {
                write!(text, "if{space}(").unwrap();
                condition.write(text, space);
                // Braces, so that an `else` belongs where the tree has it.
                text.push_str(") {");
                then.write(text, space);
                text.push('}');
                if let Some(otherwise) = otherwise {
                    write!(text, "{space}else ").unwrap();
                    otherwise.write(text, space);
                }
            }
        }
        text.push_str(space);
    }
}

impl NaiveCondition {
    fn holds(&self, look_up: &dyn Fn(&str) -> String) -> bool {
        match self {
            Self::Compare(left, equal, right) => (look_up(left) == look_up(right)) == *equal,
            Self::Both(left, right) => left.holds(look_up) & right.holds(look_up),
            Self::Either(left, right) => left.holds(look_up) | right.holds(look_up),
            Self::Not(condition) => !condition.holds(look_up),
        }
    }

    /// Writes parentheses only where the ranks of the operators ask for them.
    fn write(&self, text: &mut String, space: &str) {
        let inner = |condition: &Self, rank: u8, text: &mut String| {
            if condition.rank() < rank {
                text.push('(');
                condition.write(text, space);
                text.push(')');
            } else {
                condition.write(text, space);
            }
        };
        match self {
            Self::Compare(left, equal, right) => {
                let operator = if *equal { "==" } else { "!=" };
                write!(text, "{left}{space}{operator}{space}{right}").unwrap();
            }
            Self::Both(left, right) => {
                inner(left, 1, text);
                write!(text, "{space}&&{space}").unwrap();
                inner(right, 1, text);
            }
            Self::Either(left, right) => {
                inner(left, 0, text);
                write!(text, "{space}||{space}").unwrap();
                inner(right, 0, text);
            }
            Self::Not(condition) => {
                text.push('!');
                inner(condition, 2, text);
            }
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Either(..) => 0,
            Self::Both(..) => 1,
            Self::Compare(..) | Self::Not(_) => 2,
        }
    }
}

fn condition() -> impl Strategy<Value = NaiveCondition> {
    let address = prop::sample::select(vec!["$si", "$socket_in(ip)", "\"1.1.1.1\"", "'::1'"]);
    let number = prop::sample::select(vec!["$sp", "$socket_in(port)", "80", "8000"]);
    let compare = prop_oneof![
        (address.clone(), any::<bool>(), address).prop_map(|(l, e, r)| NaiveCondition::Compare(l, e, r)),
        (number.clone(), any::<bool>(), number).prop_map(|(l, e, r)| NaiveCondition::Compare(l, e, r)),
    ];
    compare.prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(l, r)| NaiveCondition::Both(l.into(), r.into())),
            (inner.clone(), inner.clone()).prop_map(|(l, r)| NaiveCondition::Either(l.into(), r.into())),
            inner.prop_map(|condition| NaiveCondition::Not(condition.into())),
        ]
    })
}

fn statement() -> impl Strategy<Value = Naive> {
    let leave = prop::sample::select(vec!["exit", "drop", "return"]).prop_map(Naive::Leave);
    leave.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Naive::Block),
            (condition(), inner.clone(), prop::option::of(inner)).prop_map(|(condition, then, otherwise)| {
                Naive::If(condition, then.into(), otherwise.map(Box::new))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn a_route_decides_as_its_naive_twin(
        route in prop::collection::vec(statement(), 0..4),
        space in prop::sample::select(vec!["", " ", "\n\t", " /* } */ ", " # drop;\n"]),
    ) {
        let mut text = String::new();
        for statement in &route {
            statement.write(&mut text, space);
        }
        let compiled: Route = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        let naive = Naive::Block(route);
        for peer in ["1.1.1.1:80", "[::1]:8000"] {
            for local in ["1.1.1.1:8000", "[::1]:80"] {
                let ends = ends(peer, local);
                let look_up = |operand: &str| match operand {
                    "$si" => ends.peer.ip().to_string(),
                    "$sp" => ends.peer.port().to_string(),
                    "$socket_in(ip)" => ends.local.ip().to_string(),
                    "$socket_in(port)" => ends.local.port().to_string(),
                    literal => literal.trim_matches(['"', '\'']).to_owned(),
                };
                prop_assert_eq!(compiled.traces(&ends), naive.run(&look_up) != Some("drop"), "{}", text);
            }
        }
    }
}
