//! The tables of `docs/hardness.md` name tests that exist.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

#[test]
fn each_test_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("docs/hardness.md")).unwrap();
    let mut sources = HashMap::new();
    let mut named = 0;
    for name in page.split('`').filter(|word| word.contains(".rs::")) {
        named += 1;
        let (file, test) = name.split_once("::").unwrap();
        let source = sources.entry(file).or_insert_with(|| {
            fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{name}: {error}"))
        });
        let at = source.find(&format!("fn {test}()")).unwrap_or_else(|| panic!("there is no {name}"));
        // Attributes and documentation may stand between.
        let before = &source[..at];
        let start = before.rfind("\n\n").unwrap_or(0).max(before.rfind("}\n").unwrap_or(0));
        assert!(before[start..].contains("#[test]"), "{name} is no test");
    }
    assert!(named > 50, "{named} tests are named");
}
