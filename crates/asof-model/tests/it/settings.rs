//! `asof.toml`.

use asof_model::settings::{self, Settings, masked, parse_size};
use insta::assert_snapshot;

use crate::shown;

fn env(name: &str) -> Option<String> {
    match name {
        "HERE" => Some("/srv/asof".to_owned()),
        "DB_URL" => Some("postgres://asof:hunter2@db/asof".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn read(text: &str) -> String {
    match Settings::read("asof.toml", text, "folder", &env) {
        Ok(settings) => settings.to_string(),
        Err(problems) => shown(Err(problems)),
    }
}

/// Goal: every key is optional, and an empty file is the documented defaults.
#[test]
fn defaults() {
    assert_snapshot!(read(""), @r#"
    project = "folder"
    registry.url = "sqlite://.asof/registry.db"
    offline.url = ".asof/history"
    online.url = ".asof/online"
    online.cache = "1000000000B"
    server.listen = "127.0.0.1:6566"
    "#);
    assert_eq!(
        Settings::read("asof.toml", "\u{feff}# nothing", "folder", &env).unwrap(),
        Settings::new("folder")
    );
}

/// Goal: what the file says arrives, in any of TOML's spellings, and variables are replaced.
#[test]
fn written() {
    assert_snapshot!(read("
project = 'credit'
registry = { url = \"sqlite://${HERE}/registry.db\" }
offline.url = '${HERE}/history${EMPTY}'
[online]
url = \"/mnt/online\"
cache = \"2GiB\"
[server]
listen = \"[::1]:80\"
"), @r#"
    project = "credit"
    registry.url = "sqlite:///srv/asof/registry.db"
    offline.url = "/srv/asof/history"
    online.url = "/mnt/online"
    online.cache = "2147483648B"
    server.listen = "[::1]:80"
    "#);
    let settings = Settings::read("asof.toml", "registry.url = 'sqlite://x.db'", "folder", &env).unwrap();
    assert_eq!(settings.registry_path(), "x.db");
    assert_eq!(Settings::new("p").registry_path(), ".asof/registry.db");
}

/// Goal: unknown tables and keys are met with the nearest known one, wrong values at their place.
#[test]
fn wrong() {
    assert_snapshot!(read("projct = 'x'\n[registy]\nurl = 'x'\n[online]\n  cahce = '1GB'\n  'é'.x = 1\n"), @"
    refused
    asof.toml:1:1: unknown key `projct`
      hint: did you mean `project`?
    asof.toml:2:2: unknown table `registy`
      hint: did you mean `registry`?
    asof.toml:5:3: unknown key `cahce` in `[online]`
      hint: did you mean `cache`?
    asof.toml:6:3: unknown table `é` in `[online]`
      hint: there is `cache`, `url`
    ");
    assert_snapshot!(read("project = 5\nregistry = 'x'\n[[server]]\nlisten = 'x'\n"), @"
    refused
    asof.toml:1:11: `project` is text, and this is not
      hint: put it in quotes
    asof.toml:2:12: `registry` is a table
      hint: write `[registry]` on a line of its own, and its keys below
    asof.toml:3:1: `server` is a table
      hint: write `[server]` on a line of its own, and its keys below
    ");
    assert_snapshot!(read("project = 'my project'\n[online]\ncache = 5\nurl = ''\n[server]\nlisten = 'localhost'\n"), @r#"
    refused
    asof.toml:1:11: `my project` is not a name for a project
      hint: letters, digits, `_`, `-` and `.`, and a letter or digit first
    asof.toml:3:9: `online.cache` has no unit
      hint: a size is a whole number and a unit, in quotes: `"64MB"`, `"4GB"`, `"1GiB"`
    asof.toml:4:7: `online.url` names no path
      hint: such as `.asof/online`
    asof.toml:6:10: `localhost` is not HOST:PORT
      hint: such as `127.0.0.1:6566`
    "#);
    assert_snapshot!(read("online.cache = '5 gigs'\nserver.listen = '::1:80'\n"), @r#"
    refused
    asof.toml:1:16: `5 gigs` is not a size
      hint: a size is a whole number and a unit, in quotes: `"64MB"`, `"4GB"`, `"1GiB"`
    asof.toml:2:17: `::1:80` is not HOST:PORT
      hint: such as `127.0.0.1:6566`
    "#);
}

/// Goal: text that is no TOML is one problem at its place.
#[test]
fn syntax() {
    assert_snapshot!(read("project = 'é' x\n"), @"
    refused
    asof.toml:1:15: not TOML: unexpected key or value, expected newline, `#`
    ");
    assert_snapshot!(read("[online\nurl = 'x'\n"), @"
    refused
    asof.toml:1:8: not TOML: unclosed table, expected `]`
    ");
    assert_snapshot!(read("a = 1\na = 2\n"), @"
    refused
    asof.toml:2:1: not TOML: duplicate key
    ");
    assert_snapshot!(read("project = \""), @r#"
    refused
    asof.toml:1:12: not TOML: invalid basic string, expected `"`
    "#);
}

/// Goal: a scheme that is not built is named as such, and what a variable holds is not printed.
#[test]
fn urls() {
    assert_snapshot!(read("
[registry]
url = '${DB_URL}'
[offline]
url = 's3://bucket/prefix'
[online]
url = 'memcached://:secret@cache:6379'
"), @"
    refused
    asof.toml:3:7: `postgres://` is not supported by this version of Asof
      hint: name a path of this machine, such as `sqlite://.asof/registry.db`
    asof.toml:5:7: `s3://` is not supported by this version of Asof
      hint: name a path of this machine, such as `.asof/history`
    asof.toml:7:7: unknown scheme `memcached://`
      hint: name a path of this machine, such as `.asof/online`
    ");
    assert_snapshot!(read("registry.url = 'mysql://x'\noffline.url = 'file:///x'\n"), @"
    refused
    asof.toml:1:16: unknown scheme `mysql://`
      hint: name a path of this machine, such as `sqlite://.asof/registry.db`
    asof.toml:2:15: unknown scheme `file://`
      hint: name a path of this machine, such as `.asof/history`
    ");
    assert_snapshot!(read("registry.url = 'sqlite:x.db'\n"), @"
    refused
    asof.toml:1:16: a URL has two slashes behind the colon
      hint: such as `sqlite://.asof/registry.db`
    ");
    assert_snapshot!(read("registry.url = 'sqlite://${EMPTY}'\n"), @"
    refused
    asof.toml:1:16: `registry.url` names no path
      hint: such as `sqlite://.asof/registry.db`
    ");
}

/// Goal: an online store may be a server of its own, under each of its schemes.
#[test]
fn remote_online_stores() {
    for (url, remote) in [
        ("redis://:secret@cache:6379/2", true),
        ("rediss-cluster://one:7000,two:7000", true),
        ("redis-sentinel://one:26379,two:26379/main", true),
        ("valkey://cache", true),
        (".asof/online", false),
        ("redis/online", false),
    ] {
        let text = format!("[online]\nurl = '{url}'\n");
        let settings = Settings::read("asof.toml", &text, "p", &|_| None).unwrap();
        assert_eq!((settings.online_url.as_str(), settings.online_is_remote()), (url, remote));
    }
}

/// Goal: a variable that is not set, or is written wrongly, is a problem that names it.
#[test]
fn variables() {
    assert_snapshot!(read("project = '${NOWHERE}'\n[offline]\nurl = 'a/${HERE'\n[online]\nurl = '${a b}'\n"), @"
    refused
    asof.toml:1:11: environment variable `NOWHERE` is not set
      hint: set it before the command: `NOWHERE=... asof`
    asof.toml:3:7: `${` does not begin a variable
      hint: write `${NAME}`, the name in letters, digits and `_`
    asof.toml:5:7: `${` does not begin a variable
      hint: write `${NAME}`, the name in letters, digits and `_`
    ");
}

/// Goal: neither form of printing shows a password, whatever letters it holds.
#[test]
fn secrets() {
    for (url, expected) in [
        ("postgres://asof:hunter2@db:5432/asof", "postgres://asof:***@db:5432/asof"),
        ("postgres://asof:a/b@c#d@db/asof", "postgres://asof:***@db/asof"),
        ("postgres://asof:a?b@db/asof", "postgres://***"),
        ("redis://:hunter2@db", "redis://:***@db"),
        (
            "s3://bucket/p?region=eu&secret_access_key=hunter2",
            "s3://bucket/p?region=eu&secret_access_key=***",
        ),
        ("sqlite://user@home/x.db", "sqlite://user@home/x.db"),
        (".asof/history", ".asof/history"),
    ] {
        assert_eq!(masked(url), expected);
    }
    let settings = Settings { online_url: "redis://:hunter2@db".to_owned(), ..Settings::new("p") };
    assert!(!format!("{settings} {settings:?}").contains("hunter2"));
    assert!(format!("{settings:?}").contains("redis://:***@db"));
}

/// Goal: sizes are a number and a unit, by 1000 or by 1024, and overflow is noticed.
#[test]
fn sizes() {
    for (text, bytes) in [
        ("4GB", 4_000_000_000),
        ("64MB", 64_000_000),
        ("64MiB", 67_108_864),
        ("1 gib", 1 << 30),
        ("0B", 0),
        ("2TB", 2_000_000_000_000),
    ] {
        assert_eq!(parse_size(text), Some(bytes), "{text}");
    }
    for wrong in ["", "4", "GB", "4G", "-1GB", "1.5GB", "99999999TiB", "4 giga"] {
        assert_eq!(parse_size(wrong), None, "{wrong}");
    }
    assert_eq!(parse_size("1GB"), Some(settings::ONLINE_CACHE_BYTES_DEFAULT));
}
