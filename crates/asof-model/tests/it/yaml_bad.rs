//! Text that is no YAML, or more of YAML than definitions need.

use insta::assert_snapshot;

use crate::problems_alone;

/// Goal: a broken file is one problem, at the place where it breaks.
#[test]
fn syntax() {
    assert_snapshot!(problems_alone("entities:\n\tdriver: 1\n"), @"
    refused
    features.yaml:2:1: not YAML: a tab in the indentation
      hint: indent with spaces
    ");
    assert_snapshot!(problems_alone("entities:\n  e:\n  \tkeys: 1\n"), @"
    refused
    features.yaml:3:3: not YAML: a tab in the indentation
      hint: indent with spaces
    ");
    assert_snapshot!(problems_alone("entities: { e: [1, \n"), @"
    refused
    features.yaml:2:1: not YAML: while parsing a node, did not find expected node content
    ");
    assert_snapshot!(problems_alone("entities:\n  é: \"open\n"), @"
    refused
    features.yaml:2:6: not YAML: while scanning a quoted scalar, found unexpected end of stream
    ");
    assert_snapshot!(problems_alone("entities: e\n  f: g\n"), @"
    refused
    features.yaml:2:4: not YAML: mapping values are not allowed in this context
      hint: check the indentation, and put text that holds `: ` in quotes
    ");
    assert_snapshot!(problems_alone("entities:\n    e: 1\n  f: 2\n"), @"
    refused
    features.yaml:3:3: not YAML: while parsing a block mapping, did not find expected key
      hint: check the indentation of this line and of the one before
    ");
    assert_snapshot!(problems_alone("feature_services:\n  s:\n    features:\n      - v: *\n"), @r#"
    refused
    features.yaml:4:12: not YAML: while scanning an anchor or alias, did not find expected alphabetic or numeric character
      hint: put text that begins with * in quotes: `"*"`
    "#);
    assert_snapshot!(problems_alone("entities:\n  e: { owner: @me }\n"), @"
    refused
    features.yaml:2:15: not YAML: unexpected character: `@'
      hint: put text that begins with @ in quotes
    ");
    assert_snapshot!(problems_alone("entities: *nowhere\n"), @r#"
    refused
    features.yaml:1:11: not YAML: while parsing node, found unknown anchor
      hint: put text that begins with * in quotes: `"*"`
    "#);
    assert_snapshot!(problems_alone("entities: &e { x: *e }\n"), @"
    refused
    features.yaml:1:19: this alias stands inside what it repeats
    ");
    assert_snapshot!(problems_alone("entities:\n  e\0: 1\n"), @"
    refused
    features.yaml:2:4: the file holds the control character U+0000
      hint: remove it; YAML is plain text
    ");
}

/// Goal: what would be read differently by others is refused: keys that repeat, keys that are no text, tags.
#[test]
fn refused_yaml() {
    assert_snapshot!(problems_alone("entities:\n  e: { keys: { k: int64 } }\n  'e': { keys: { k: int64, k: string } }\nentities:\n"), @"
    refused
    features.yaml:3:3: `e` is written twice here; the first is on line 2
    features.yaml:3:28: `k` is written twice here; the first is on line 3
    features.yaml:4:1: `entities` is written twice here; the first is on line 1
    ");
    assert_snapshot!(problems_alone("entities:\n  ~: { keys: { k: int64 } }\n  [a]: 1\n  ? { b: c }\n  : 2\n"), @"
    refused
    features.yaml:2:3: the key is null
      hint: quote the key if it is a name
    features.yaml:3:3: a key is text, and this is a list
    features.yaml:4:5: a key is text, and this is a mapping
    ");
    assert_snapshot!(problems_alone("entities:\n  e: &e { keys: { k: int64 } }\n  f: { <<: *e }\n"), @"
    refused
    features.yaml:3:8: merge keys (`<<`) are not supported
      hint: write the keys out; an alias can stand for a whole value
    ");
    assert_snapshot!(problems_alone("entities: !!map\n  e: { keys: { k: !mine int64 } }\n"), @"
    refused
    features.yaml:1:11: tags (`!name`) are not supported
      hint: leave the tag out; quoted text is text
    features.yaml:2:19: tags (`!name`) are not supported
      hint: leave the tag out; quoted text is text
    ");
}

/// Goal: what is wrong in one document does not hide what is wrong in the next, and lines go on counting.
#[test]
fn documents() {
    assert_snapshot!(problems_alone("a: 1\n---\nb: 2\n...\n---\ntext\n"), @"
    refused
    features.yaml:1:1: unknown section `a`
      hint: there is `entities`, `feature_services`, `feature_views`, `sources`
    features.yaml:3:1: unknown section `b`
      hint: there is `entities`, `feature_services`, `feature_views`, `sources`
    features.yaml:6:1: definitions are a mapping, and this is text
      hint: begin with a section, such as `entities:`
    ");
}

/// Goal: nesting and aliases that grow without bound are stopped.
#[test]
fn bounds() {
    assert_snapshot!(problems_alone(&"[".repeat(5_000)), @"
    refused
    features.yaml:1:256: not YAML: recursion limit exceeded
    ");
    assert_snapshot!(problems_alone(&"- ".repeat(5_000)), @"
    refused
    features.yaml:1:65: more than 32 lists and mappings stand inside each other
    ");
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let below = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![below; 10].join(", ")));
    }
    assert_snapshot!(problems_alone(&bomb), @"
    refused
    features.yaml:6:10: the file holds too much, aliases spelled out; split it into several
    ");
    assert_snapshot!(problems_alone(&" ".repeat((4 << 20) + 1)), @"
    refused
    features.yaml:1:1: the file has 4194305 bytes, at most 4194304 are read
    ");
}
