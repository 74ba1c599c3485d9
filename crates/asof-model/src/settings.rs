//! Settings of a project: what `asof.toml` says, with every key optional.
//!
//! `${NAME}` in a value is replaced by that environment variable, after the file was parsed, so that what a variable
//! holds is text and nothing else. Passwords are never printed: not by `Debug` or `Display`, and not in a message.

use std::fmt;
use std::ops::Range;

use toml_edit::{Document, Item, TableLike, Value};

use crate::definition::Problem;
use crate::name;

/// The registry of a project that names none.
pub const REGISTRY_URL_DEFAULT: &str = "sqlite://.asof/registry.db";
/// The history of a project that names none.
pub const OFFLINE_URL_DEFAULT: &str = ".asof/history";
/// The online store of a project that names none.
pub const ONLINE_URL_DEFAULT: &str = ".asof/online";
/// The memory, in bytes, of the online store's row cache where none is named: 1 GB.
pub const ONLINE_CACHE_BYTES_DEFAULT: u64 = 1_000_000_000;
/// Where the server listens by default: this machine alone can reach it.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:6566";

/// The settings of a project. Relative paths are relative to the project's folder.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The project's name.
    pub project: String,
    /// `sqlite://PATH` or a path, as written.
    pub registry_url: String,
    /// A path, as written.
    pub offline_url: String,
    /// A path, or the URL of a server ([`ONLINE_SCHEMES`]), as written.
    pub online_url: String,
    /// Memory for the online store's row cache, in bytes.
    pub online_cache_bytes: u64,
    /// `HOST:PORT`.
    pub listen: String,
}

impl Settings {
    /// The settings of a project without a file.
    pub fn new(project: impl Into<String>) -> Self {
        Self {
            project: project.into(),
            registry_url: REGISTRY_URL_DEFAULT.to_owned(),
            offline_url: OFFLINE_URL_DEFAULT.to_owned(),
            online_url: ONLINE_URL_DEFAULT.to_owned(),
            online_cache_bytes: ONLINE_CACHE_BYTES_DEFAULT,
            listen: LISTEN_DEFAULT.to_owned(),
        }
    }

    /// Reads `asof.toml`. `file` is its path as users see it, `default_project` the name of a project that has none
    /// (the folder's), `env` looks up an environment variable.
    ///
    /// # Errors
    /// Every problem, in the order of lines; where the text is not TOML, that alone.
    pub fn read(
        file: &str,
        text: &str,
        default_project: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<Problem>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader { file, text, env, problems: Vec::new() };
        let mut settings = Self::new(default_project);
        match Document::parse(text) {
            Ok(document) => reader.root(document.as_table(), &mut settings),
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                let message = error.message().replace('\n', ", ");
                reader.problem(span, format!("not TOML: {message}"), None);
            }
        }
        if reader.problems.is_empty() { Ok(settings) } else { Err(reader.finish()) }
    }

    /// Whether the online store is a server of its own, and not a folder.
    pub fn online_is_remote(&self) -> bool {
        self.online_url.split_once("://").is_some_and(|(scheme, _)| ONLINE_SCHEMES.contains(&scheme))
    }

    /// The path of the registry's file.
    pub fn registry_path(&self) -> &str {
        self.registry_url.strip_prefix("sqlite://").unwrap_or(&self.registry_url)
    }
}

impl fmt::Display for Settings {
    /// As `asof.toml` would say it; the size in bytes, passwords as `***`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "project = {:?}", self.project)?;
        writeln!(out, "registry.url = {:?}", masked(&self.registry_url))?;
        writeln!(out, "offline.url = {:?}", masked(&self.offline_url))?;
        writeln!(out, "online.url = {:?}", masked(&self.online_url))?;
        writeln!(out, "online.cache = \"{}B\"", self.online_cache_bytes)?;
        write!(out, "server.listen = {:?}", self.listen)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Settings")
            .field("project", &self.project)
            .field("registry_url", &masked(&self.registry_url))
            .field("offline_url", &masked(&self.offline_url))
            .field("online_url", &masked(&self.online_url))
            .field("online_cache_bytes", &self.online_cache_bytes)
            .field("listen", &self.listen)
            .finish()
    }
}

/// Reads a size in bytes: a whole number and a unit. `B`, `KB`, `MB`, `GB`, `TB` are powers of 1000; `KiB`, `MiB`,
/// `GiB`, `TiB` are powers of 1024; letter case does not matter. `None` for anything else, and past `u64`.
pub fn parse_size(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 9] = [
        ("B", 1),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, bytes) = UNITS.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim_start()))?;
    number.parse::<u64>().ok()?.checked_mul(bytes)
}

/// A URL as it may be printed: `***` for the password, and for parameters that sound like secrets.
pub fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (place, parameters) = match rest.split_once('?') {
        Some((place, parameters)) => (place, Some(parameters)),
        None => (rest, None),
    };
    // A password may hold any letter, so everything up to the last `@` belongs to it.
    let place = match place.rsplit_once('@') {
        Some((login, host)) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:***@{host}"),
            None => place.to_owned(),
        },
        None => place.to_owned(),
    };
    // An `@` behind the `?` means that the password holds the `?`: show nothing of either.
    let place = match parameters {
        Some(parameters) if parameters.contains('@') => return format!("{scheme}://***"),
        Some(parameters) => format!("{place}?{}", masked_parameters(parameters)),
        None => place,
    };
    format!("{scheme}://{place}")
}

fn masked_parameters(parameters: &str) -> String {
    const SECRET_WORDS: [&str; 6] = ["pass", "pwd", "secret", "token", "key", "sig"];
    let each = parameters.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, _)) if SECRET_WORDS.iter().any(|word| name.to_ascii_lowercase().contains(word)) => {
            format!("{name}=***")
        }
        _ => parameter.to_owned(),
    });
    each.collect::<Vec<_>>().join("&")
}

/// Tables and their keys; the empty name is the top of the file.
const KEYS: [(&str, &[&str]); 5] = [
    ("", &["project", "registry", "offline", "online", "server"]),
    ("registry", &["url"]),
    ("offline", &["url"]),
    ("online", &["url", "cache"]),
    ("server", &["listen"]),
];

/// The schemes of online stores that are servers: one of them, several that share the keys, or several of which Sentinel
/// says who leads; with TLS or without.
pub const ONLINE_SCHEMES: [&str; 8] = [
    "redis",
    "rediss",
    "redis-cluster",
    "rediss-cluster",
    "redis-sentinel",
    "rediss-sentinel",
    "valkey",
    "valkeys",
];

/// A store whose URL is checked.
struct Store {
    table: &'static str,
    /// The schemes that are built; paths always are.
    schemes: &'static [&'static str],
    /// Schemes that settings may name and this version does not build.
    later: &'static [&'static str],
    example: &'static str,
}

const REGISTRY: Store = Store {
    table: "registry",
    schemes: &["sqlite"],
    later: &["postgres", "postgresql"],
    example: REGISTRY_URL_DEFAULT,
};
const OFFLINE: Store = Store {
    table: "offline",
    schemes: &[],
    later: &["s3", "s3a", "gs", "gcs", "az", "azure", "abfs", "abfss", "adl", "http", "https"],
    example: OFFLINE_URL_DEFAULT,
};
const ONLINE: Store =
    Store { table: "online", schemes: &ONLINE_SCHEMES, later: &[], example: ONLINE_URL_DEFAULT };

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    env: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
}

/// A text value: as written, with variables replaced, and where it stands.
struct Text {
    written: String,
    value: String,
    span: Range<usize>,
}

impl Reader<'_> {
    fn root(&mut self, root: &dyn TableLike, settings: &mut Settings) {
        self.check_keys("", root);
        if let Some(project) = self.text(root, "", "project") {
            let hint = "letters, digits, `_`, `-` and `.`, and a letter or digit first";
            if !is_project_name(&project.value) {
                let message = format!("`{}` is not a name for a project", project.written.escape_debug());
                self.problem(project.span, message, Some(hint.to_owned()));
            }
            settings.project = project.value;
        }
        if let Some(url) = self.table(root, "registry").and_then(|table| self.url(table, &REGISTRY)) {
            settings.registry_url = url;
        }
        if let Some(url) = self.table(root, "offline").and_then(|table| self.url(table, &OFFLINE)) {
            settings.offline_url = url;
        }
        if let Some(table) = self.table(root, "online") {
            if let Some(url) = self.url(table, &ONLINE) {
                settings.online_url = url;
            }
            if let Some(bytes) = self.size(table, "online", "cache") {
                settings.online_cache_bytes = bytes;
            }
        }
        if let Some(listen) =
            self.table(root, "server").and_then(|table| self.text(table, "server", "listen"))
        {
            if !is_listen(&listen.value) {
                let message = format!("`{}` is not HOST:PORT", listen.written.escape_debug());
                self.problem(listen.span, message, Some(format!("such as `{LISTEN_DEFAULT}`")));
            }
            settings.listen = listen.value;
        }
    }

    /// Refuses unknown keys and tables with the nearest known one.
    fn check_keys(&mut self, table: &str, content: &dyn TableLike) {
        let known = KEYS.iter().find(|(each, _)| *each == table).map_or(&[][..], |(_, keys)| keys);
        for (key, item) in content.iter() {
            if known.contains(&key) {
                continue;
            }
            let span = content.key(key).and_then(|key| key.span()).or_else(|| item.span());
            let what = if item.is_table_like() { "table" } else { "key" };
            let inside = if table.is_empty() { String::new() } else { format!(" in `[{table}]`") };
            let hint = name::suggestion(key, known.iter().copied());
            let message = format!("unknown {what} `{}`{inside}", key.escape_debug());
            self.problem(span.unwrap_or(0..0), message, hint);
        }
    }

    fn table<'t>(&mut self, root: &'t dyn TableLike, name: &str) -> Option<&'t dyn TableLike> {
        let item = root.get(name)?;
        let Some(table) = item.as_table_like() else {
            let hint = Some(format!("write `[{name}]` on a line of its own, and its keys below"));
            self.problem(span_of(root, name, item), format!("`{name}` is a table"), hint);
            return None;
        };
        self.check_keys(name, table);
        Some(table)
    }

    fn text(&mut self, table: &dyn TableLike, table_name: &str, key: &str) -> Option<Text> {
        let item = table.get(key)?;
        let span = span_of(table, key, item);
        let Item::Value(Value::String(text)) = item else {
            let path = if table_name.is_empty() { key.to_owned() } else { format!("{table_name}.{key}") };
            let message = format!("`{path}` is text, and this is not");
            self.problem(span, message, Some("put it in quotes".to_owned()));
            return None;
        };
        let written = text.value().clone();
        let value = self.with_variables(&written, &span)?;
        Some(Text { written, value, span })
    }

    /// Replaces each `${NAME}`. `None`, and a problem, where a variable is not set or the form is broken.
    fn with_variables(&mut self, written: &str, span: &Range<usize>) -> Option<String> {
        let mut value = String::new();
        let mut rest = written;
        while let Some((before, after)) = rest.split_once("${") {
            value.push_str(before);
            let Some((name, behind)) = after.split_once('}').filter(|(name, _)| is_variable(name)) else {
                let hint = "write `${NAME}`, the name in letters, digits and `_`".to_owned();
                self.problem(span.clone(), "`${` does not begin a variable", Some(hint));
                return None;
            };
            let Some(found) = (self.env)(name) else {
                let message = format!("environment variable `{name}` is not set");
                self.problem(
                    span.clone(),
                    message,
                    Some(format!("set it before the command: `{name}=... asof`")),
                );
                return None;
            };
            value.push_str(&found);
            rest = behind;
        }
        value.push_str(rest);
        Some(value)
    }

    fn url(&mut self, table: &dyn TableLike, store: &Store) -> Option<String> {
        let url = self.text(table, store.table, "url")?;
        let example = format!("such as `{}`", store.example);
        let path = match url.value.split_once("://") {
            Some((scheme, path)) if store.schemes.contains(&scheme) => path,
            Some((scheme, _)) if store.later.contains(&scheme) => {
                let message = format!("`{scheme}://` is not supported by this version of Asof");
                self.problem(url.span, message, Some(format!("name a path of this machine, {example}")));
                return None;
            }
            Some((scheme, _)) => {
                // Only what looks like a scheme is repeated: the text may come from a variable.
                let plain =
                    scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
                let message = match plain {
                    true => format!("unknown scheme `{scheme}://`"),
                    false => format!("`{}.url` is neither a path nor a URL", store.table),
                };
                self.problem(url.span, message, Some(format!("name a path of this machine, {example}")));
                return None;
            }
            None if store.schemes.iter().any(|scheme| url.value.starts_with(&format!("{scheme}:"))) => {
                let message = "a URL has two slashes behind the colon".to_owned();
                self.problem(url.span, message, Some(example));
                return None;
            }
            None => &url.value,
        };
        if path.trim().is_empty() {
            let message = format!("`{}.url` names no path", store.table);
            self.problem(url.span, message, Some(example));
            return None;
        }
        Some(url.value)
    }

    fn size(&mut self, table: &dyn TableLike, table_name: &str, key: &str) -> Option<u64> {
        const HINT: &str =
            "a size is a whole number and a unit, in quotes: `\"64MB\"`, `\"4GB\"`, `\"1GiB\"`";
        if let Some(item) = table.get(key).filter(|item| item.is_integer()) {
            let message = format!("`{table_name}.{key}` has no unit");
            self.problem(span_of(table, key, item), message, Some(HINT.to_owned()));
            return None;
        }
        let text = self.text(table, table_name, key)?;
        let size = parse_size(&text.value);
        if size.is_none() {
            let message = format!("`{}` is not a size", text.written.escape_debug());
            self.problem(text.span, message, Some(HINT.to_owned()));
        }
        size
    }

    fn problem(&mut self, span: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        // The parser may point behind the last byte, at the end of the file.
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        self.problems.push(Problem {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
            hint,
        });
    }

    fn finish(self) -> Vec<Problem> {
        crate::definition::in_order(self.problems, 0)
    }
}

fn span_of(table: &dyn TableLike, key: &str, item: &Item) -> Range<usize> {
    item.span().or_else(|| table.key(key).and_then(|key| key.span())).unwrap_or(0..0)
}

/// Projects are often named after folders, so names with `-` and `.` are allowed too.
fn is_project_name(text: &str) -> bool {
    text.len() <= name::NAME_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_listen(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    !host.is_empty()
        && !host.contains(char::is_whitespace)
        && (bracketed || !host.contains(':'))
        && port.bytes().all(|b| b.is_ascii_digit())
        && port.parse::<u16>().is_ok()
}
