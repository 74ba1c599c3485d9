//! Text to [`Case`]. Everything that is not understood is an error with its line: a misspelled option must not turn
//! a test off.

use asof_model::knowledge::KnownAt;
use asof_model::{Duration, Status, ValueType, Zone};
use asof_oracle::OracleValue;

use super::computed::read_computed;
use super::literal::{read_answer, read_cell, read_instant};
use super::table::{split_cells, split_comment};
use super::{
    Case, CaseCell, CaseError, CaseFeature, CaseKey, CaseLabel, CasePath, CaseReplacement, CaseRow, CaseView,
    Column, Expectation, FeaturePlace,
};

/// Reads a case file. `name` is what it is called in messages.
///
/// # Errors
/// [`CaseError::Form`] with the line of the first thing that is not understood.
pub fn parse_case(name: &str, text: &str) -> Result<Case, CaseError> {
    let goal = text.lines().next().and_then(|line| line.strip_prefix("# Goal:")).map(str::trim);
    let Some(goal) = goal.filter(|goal| !goal.is_empty()) else {
        return form(1, "the first line is `# Goal:` and says what the file proves");
    };
    let mut case = Case {
        name: name.to_owned(),
        goal: goal.to_owned(),
        views: vec![],
        computed: vec![],
        expectations: vec![],
    };
    for section in sections(text)? {
        match section.kind {
            "view" => {
                let view = read_view(&section)?;
                if case.views.iter().any(|each| each.name == view.name) {
                    return form(view.line, format!("a second view `{}`", view.name));
                }
                if !case.computed.is_empty() {
                    return form(view.line, "views stand before what is `computed` of them");
                }
                case.views.push(view);
            }
            "computed" => {
                let computed = read_computed(&section, &case)?;
                case.computed.push(computed);
            }
            "expect" => {
                let expectation = read_expectation(&section, &case)?;
                case.expectations.push(expectation);
            }
            other => {
                return form(section.line, format!("`{other}` is none of `view`, `computed` and `expect`"));
            }
        }
    }
    if (case.views.is_empty() && case.computed.is_empty()) || case.expectations.is_empty() {
        return form(1, "a case has at least one `view` and one `expect`");
    }
    Ok(case)
}

/// A section: its words, and its table with the line of each row.
pub(super) struct Section<'a> {
    pub line: usize,
    kind: &'a str,
    pub words: Vec<&'a str>,
    pub table: Vec<(usize, Vec<&'a str>)>,
}

fn sections(text: &str) -> Result<Vec<Section<'_>>, CaseError> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for (at, raw) in text.lines().enumerate() {
        let (line, _) = split_comment(raw);
        if line.is_empty() {
            continue;
        }
        if line.starts_with(char::is_whitespace) {
            let Some(section) = sections.last_mut() else {
                return form(at + 1, "a table stands below `view` or `expect`");
            };
            let cells = split_cells(line);
            if section.table.first().is_some_and(|(_, header)| header.len() != cells.len()) {
                return form(at + 1, format!("{} cells, which the header has not", cells.len()));
            }
            section.table.push((at + 1, cells));
        } else {
            let mut words = line.split_whitespace();
            let kind = words.next().unwrap_or_default();
            sections.push(Section { line: at + 1, kind, words: words.collect(), table: vec![] });
        }
    }
    for section in &sections {
        if section.table.is_empty() {
            return form(section.line, "a section has a table, at least its header");
        }
    }
    Ok(sections)
}

/// A column of a view: `name`, `name:type` or `name:type default=value`.
pub(super) struct ViewColumn<'a> {
    pub name: &'a str,
    pub value_type: ValueType,
    pub default: Option<CaseCell>,
}

fn read_view(section: &Section<'_>) -> Result<CaseView, CaseError> {
    let line = section.line;
    let Some((name, options)) = section.words.split_first() else {
        return form(line, "a view has a name");
    };
    let mut view = CaseView {
        line,
        name: (*name).to_owned(),
        keys: vec![],
        ttl: None,
        keep: None,
        zone: None,
        created_named: false,
        replacements: vec![],
        features: vec![],
        rows: vec![],
    };
    let mut key_names = vec![];
    for option in options {
        let wrong = |what: &str| CaseError::Form { line, problem: format!("`{option}`: {what}") };
        match option.split_once('=') {
            Some(("entity", names)) => key_names = names.split(',').collect(),
            Some(("ttl", text)) => {
                view.ttl = Some(Duration::parse(text).ok_or_else(|| wrong("no duration"))?)
            }
            Some(("keep", text)) => {
                view.keep = Some(Duration::parse(text).ok_or_else(|| wrong("no duration"))?)
            }
            Some(("zone", text)) => {
                view.zone = Some((text.to_owned(), Zone::named(text).ok_or_else(|| wrong("no zone"))?));
            }
            Some(("replace", text)) => {
                view.replacements.push(read_replacement(text).map_err(|problem| wrong(&problem))?);
            }
            _ => return Err(wrong("a view takes entity=, ttl=, keep=, zone= and replace=")),
        }
    }
    view.replacements.sort_by_key(|each| each.visible);
    let (header_line, header) = &section.table[0];
    let mut columns = Vec::new();
    for cell in header {
        let column =
            read_view_column(cell).map_err(|problem| CaseError::Form { line: *header_line, problem })?;
        if columns.iter().any(|each: &ViewColumn<'_>| each.name == column.name) {
            return form(*header_line, format!("a second column `{}`", column.name));
        }
        columns.push(column);
    }
    for key in &key_names {
        let Some(column) = columns.iter().find(|column| column.name == *key) else {
            return form(*header_line, format!("no column for the join key `{key}`"));
        };
        view.keys.push(CaseKey { name: (*key).to_owned(), value_type: column.value_type });
    }
    if !columns.iter().any(|column| column.name == "event_timestamp") {
        return form(*header_line, "no column `event_timestamp`");
    }
    view.created_named = columns.iter().any(|column| column.name == "created_timestamp");
    let is_feature = |column: &ViewColumn<'_>| {
        !key_names.contains(&column.name)
            && !["event_timestamp", "created_timestamp", "visible"].contains(&column.name)
    };
    view.features = columns
        .iter()
        .filter(|column| is_feature(column))
        .map(|column| CaseFeature {
            name: column.name.to_owned(),
            value_type: column.value_type,
            default: column.default.clone(),
        })
        .collect();
    if view.features.is_empty() {
        return form(*header_line, "a view has a feature");
    }
    for (line, cells) in &section.table[1..] {
        let row = read_row(*line, cells, &columns, &view)
            .map_err(|problem| CaseError::Form { line: *line, problem })?;
        let replaces = view.replacements.iter().find(|each| each.visible == row.visible);
        if let (Some(range), Some(event)) = (replaces, row.event.instant())
            && !(range.from <= event && event < range.until)
        {
            return form(*line, "the row is not in the range that is replaced when it becomes visible");
        }
        view.rows.push(row);
    }
    if let Some(without) =
        view.replacements.iter().find(|each| !view.rows.iter().any(|row| row.visible == each.visible))
    {
        return form(line, format!("no row becomes visible with the replacement of {}", without.visible));
    }
    Ok(view)
}

/// `FROM..UNTIL@VISIBLE`.
fn read_replacement(text: &str) -> Result<CaseReplacement, String> {
    let parts = text.split_once('@').and_then(|(range, at)| Some((range.split_once("..")?, at)));
    let ((from, until), visible) = parts.ok_or("a replacement is FROM..UNTIL@VISIBLE")?;
    let instant = |text| read_instant(text, &Zone::utc());
    Ok(CaseReplacement { from: instant(from)?, until: instant(until)?, visible: instant(visible)? })
}

pub(super) fn read_view_column(text: &str) -> Result<ViewColumn<'_>, String> {
    let (column, default) = match text.split_once(" default=") {
        Some((column, default)) => (column.trim(), Some(default.trim())),
        None => (text, None),
    };
    let (name, value_type) = match column.split_once(':') {
        Some((name, of)) => (name, ValueType::parse(of).map_err(|error| error.to_string())?),
        None => (column, ValueType::Int64),
    };
    if name.is_empty() || !name.chars().all(|each| each.is_ascii_alphanumeric() || each == '_') {
        return Err(format!("`{name}` is not a name"));
    }
    let default = default.map(|default| read_cell(value_type, default, &Zone::utc())).transpose()?;
    if default.as_ref().is_some_and(|default| default.cell.value().is_none()) {
        return Err("a default is a value".into());
    }
    Ok(ViewColumn { name, value_type, default })
}

fn read_row(
    line: usize,
    cells: &[&str],
    columns: &[ViewColumn<'_>],
    view: &CaseView,
) -> Result<CaseRow, String> {
    let utc = Zone::utc();
    let source_zone = view.zone.as_ref().map_or(&utc, |(_, zone)| zone);
    let text_of =
        |name: &str| columns.iter().zip(cells).find(|(column, _)| column.name == name).map(|(_, c)| *c);
    let read = |name: &str, of, zone| {
        let text = text_of(name).ok_or_else(|| format!("no column `{name}`"))?;
        read_cell(of, text, zone).map_err(|problem| format!("`{name}`: {problem}"))
    };

    let event = read("event_timestamp", ValueType::Timestamp, source_zone)?;
    let created = match text_of("created_timestamp") {
        Some(_) => read("created_timestamp", ValueType::Timestamp, source_zone)?,
        None => event.clone(),
    };
    let visible = match text_of("visible") {
        Some(text) => read_instant(text, &utc)?,
        None => created.instant().ok_or("a row without a created instant says when it was visible")?,
    };
    let mut key = Vec::new();
    for each in &view.keys {
        key.push(read(&each.name, each.value_type, &utc)?);
    }
    let mut held = Vec::new();
    for (place, feature) in view.features.iter().enumerate() {
        if text_of(&feature.name) == Some("absent") {
            continue;
        }
        if held.len() < place {
            return Err(format!("`{}` stands after an absent one", feature.name));
        }
        held.push(read(&feature.name, feature.value_type, &utc)?);
    }
    Ok(CaseRow { line, key, event, created, visible, cells: held })
}

fn read_expectation(section: &Section<'_>, case: &Case) -> Result<Expectation, CaseError> {
    let line = section.line;
    let (header_line, header) = &section.table[0];
    let mut it = Expectation {
        line,
        known_at: KnownAt::Event,
        include_expired: false,
        paths: vec![],
        features: vec![],
        keys: vec![],
        request: vec![],
        labels: vec![],
        columns: vec![],
        header_line: *header_line,
    };
    let mut paths = None;
    for option in &section.words {
        match option.split_once('=') {
            Some(("known_at", name)) => it.known_at = read_known_at(line, name)?,
            Some(("paths", names)) => paths = Some(read_paths(line, names)?),
            None if *option == "include_expired" => it.include_expired = true,
            _ => return form(line, format!("`{option}`: there are known_at=, paths= and include_expired")),
        }
    }
    let answering = CasePath::ALL.into_iter().filter(|path| path.answers(it.known_at));
    it.paths = paths.unwrap_or_else(|| answering.collect());
    if let Some(path) = it.paths.iter().find(|path| !path.answers(it.known_at)) {
        return form(line, format!("`{}` answers under known_at=served alone", path.as_str()));
    }

    read_header(&mut it, header, case).map_err(|problem| CaseError::Form { line: *header_line, problem })?;
    for (line, cells) in &section.table[1..] {
        let label = read_label(*line, cells, &it, case)
            .map_err(|problem| CaseError::Form { line: *line, problem })?;
        it.labels.push(label);
    }
    if it.labels.is_empty() {
        return form(line, "an expectation has a row");
    }
    Ok(it)
}

fn read_known_at(line: usize, name: &str) -> Result<KnownAt, CaseError> {
    match [KnownAt::Event, KnownAt::Created, KnownAt::Served].into_iter().find(|each| each.as_str() == name) {
        Some(known_at) => Ok(known_at),
        None => form(line, format!("`{name}` is not event, created or served")),
    }
}

/// `oracle` alone asks no path: for what the others cannot do yet.
fn read_paths(line: usize, names: &str) -> Result<Vec<CasePath>, CaseError> {
    let mut paths = Vec::new();
    for name in names.split(',').filter(|name| *name != "oracle") {
        match CasePath::ALL.into_iter().find(|each| each.as_str() == name) {
            Some(path) => paths.push(path),
            None => {
                return form(line, format!("`{name}` is not a path: training, serving, stream or oracle"));
            }
        }
    }
    Ok(paths)
}

/// Says what each column is, features first: they tell which views are read, and so which join keys there are.
fn read_header(it: &mut Expectation, header: &[&str], case: &Case) -> Result<(), String> {
    let is_status = |text: &str| text == "status" || text.ends_with("__status");
    let is_key = |text: &str| {
        let keys = case.views.iter().flat_map(|view| &view.keys);
        let fields = case.computed.iter().flat_map(|computed| &computed.request);
        keys.chain(fields).any(|key| key.name == text)
    };
    for text in header.iter().filter(|text| **text != "t" && !is_status(text) && !is_key(text)) {
        it.features.push(find_feature(text, case)?);
    }
    for computed in it.features.iter().flat_map(|place| case.computed_of(*place)) {
        for field in &computed.request {
            match it.request.iter().find(|each| each.name == field.name) {
                None => it.request.push(field.clone()),
                Some(same) if same == field => {}
                Some(_) => return Err(format!("request field `{}` has two types", field.name)),
            }
        }
    }
    for key in
        it.features.iter().flat_map(|place| case.stored_of(*place)).flat_map(|view| &case.views[view].keys)
    {
        match it.keys.iter().find(|each| each.name == key.name) {
            None => it.keys.push(key.clone()),
            Some(same) if same == key => {}
            Some(_) => return Err(format!("join key `{}` has two types", key.name)),
        }
    }
    let feature_columns: Vec<&str> =
        header.iter().copied().filter(|text| *text != "t" && !is_status(text) && !is_key(text)).collect();
    for text in header {
        let column = if *text == "t" {
            Column::T
        } else if *text == "status" {
            Column::StatusOfAll
        } else if let Some(feature) = text.strip_suffix("__status") {
            let place = feature_columns.iter().position(|each| *each == feature);
            Column::Status(place.ok_or_else(|| format!("`{text}` is the status of no column"))?)
        } else if let Some(place) = it.keys.iter().position(|key| key.name == *text) {
            Column::Key(place)
        } else if let Some(place) = it.request.iter().position(|field| field.name == *text) {
            Column::Request(place)
        } else if let Some(place) = feature_columns.iter().position(|each| each == text) {
            Column::Value(place)
        } else {
            return Err(format!("no feature asked for has the join key `{text}`"));
        };
        if it.columns.contains(&column) {
            return Err(format!("a second column `{text}`"));
        }
        it.columns.push(column);
    }
    if feature_columns.is_empty() || !it.columns.contains(&Column::T) {
        return Err("an expectation has a column `t` and a feature".into());
    }
    if let Some(key) = (0..it.keys.len()).find(|place| !it.columns.contains(&Column::Key(*place))) {
        return Err(format!("no column for the join key `{}`", it.keys[key].name));
    }
    if let Some(field) = (0..it.request.len()).find(|place| !it.columns.contains(&Column::Request(*place))) {
        return Err(format!("no column for the request field `{}`", it.request[field].name));
    }
    for (place, name) in feature_columns.iter().enumerate() {
        if !it.columns.contains(&Column::StatusOfAll) && !it.columns.contains(&Column::Status(place)) {
            return Err(format!("no status for `{name}`: write a column `status` or `{name}__status`"));
        }
    }
    Ok(())
}

fn find_feature(text: &str, case: &Case) -> Result<FeaturePlace, String> {
    let (of_view, name) = match text.split_once(':') {
        Some((view, name)) => (Some(view), name),
        None => (None, text),
    };
    let mut found = Vec::new();
    let views = case.views.iter().map(|view| (&view.name, &view.features));
    let computed = case.computed.iter().map(|computed| (&computed.name, &computed.features));
    for (view_place, (view, features)) in views.chain(computed).enumerate() {
        if of_view.is_none_or(|wanted| wanted == view)
            && let Some(feature) = features.iter().position(|each| each.name == name)
        {
            found.push(FeaturePlace { view: view_place, feature });
        }
    }
    match found[..] {
        [place] => Ok(place),
        [] => Err(format!("no view above has a feature `{text}`")),
        _ => Err(format!("several views have a feature `{text}`: write `view:{text}`")),
    }
}

fn read_label(line: usize, cells: &[&str], it: &Expectation, case: &Case) -> Result<CaseLabel, String> {
    let utc = Zone::utc();
    let text_of =
        |wanted: Column| it.columns.iter().zip(cells).find(|(each, _)| **each == wanted).map(|(_, c)| *c);
    let text = |wanted: Column| text_of(wanted).ok_or("a column is not there");

    let mut keys = Vec::new();
    for (place, key) in it.keys.iter().enumerate() {
        keys.push(read_answer(key.value_type, text(Column::Key(place))?)?.value().cloned());
    }
    let mut request = Vec::new();
    for (place, field) in it.request.iter().enumerate() {
        request.push(read_answer(field.value_type, text(Column::Request(place))?)?.value().cloned());
    }
    let t = read_instant(text(Column::T)?, &utc)?;
    let mut expected = Vec::new();
    for (place, feature) in it.features.iter().enumerate() {
        let of = case.feature(*feature).1.value_type;
        let cell = read_answer(of, text(Column::Value(place))?)?;
        let status = text_of(Column::Status(place)).map_or_else(|| text(Column::StatusOfAll), Ok)?;
        expected.push(OracleValue { cell, status: read_status(status)? });
    }
    Ok(CaseLabel { line, keys, request, t, expected })
}

fn read_status(text: &str) -> Result<Status, String> {
    [Status::Present, Status::Null, Status::Missing, Status::OutsideTtl, Status::Error]
        .into_iter()
        .find(|each| each.as_str() == text)
        .ok_or_else(|| format!("`{text}` is not a status"))
}

pub(super) fn form<T>(line: usize, problem: impl Into<String>) -> Result<T, CaseError> {
    Err(CaseError::Form { line, problem: problem.into() })
}
