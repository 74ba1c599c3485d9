//! Requests, written into a buffer that is used again and again.

use fastrand::Rng;

use crate::keys::{Keys, Values, json_text};
use crate::keys_file::KeysFile;
use crate::pick::Picker;
use crate::plan::{LoadPlan, Shape, What};
use crate::target::Target;

/// Room for the length of a body in the head, in digits.
const LENGTH_DIGITS: usize = 12;

/// A kind of request of the mix, by its number in it.
pub(crate) type Kind = usize;

/// Makes requests: the `n`-th is a function of seed and `n`.
pub(crate) struct Maker {
    shape: Shape,
    seed: u64,
    kinds: Vec<Each>,
    /// Running sums of weights, one for each kind.
    weights: Vec<u64>,
    columns: Vec<Column>,
    pickers: Vec<Picker>,
}

/// A kind of request.
struct Each {
    /// The body up to the first entity.
    before: Vec<u8>,
    rows: usize,
}

/// A join key: its name as JSON, and where its values come from, with the picker that draws them.
struct Column {
    name: Vec<u8>,
    source: Source,
    picker: usize,
}

enum Source {
    Made(Values),
    File(KeysFile, usize),
}

/// What one sender writes into: a request, and the keys drawn for it.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) bytes: Vec<u8>,
    picks: Vec<u64>,
}

impl Maker {
    pub(crate) fn new(plan: &LoadPlan) -> Self {
        let mut kinds = Vec::new();
        let mut weights = Vec::new();
        let mut sum = 0;
        for asked in &plan.asked {
            for entities in &plan.entities {
                sum += u64::from(asked.weight) * u64::from(entities.weight);
                weights.push(sum);
                kinds.push(Each { before: before(plan.shape, &asked.what), rows: entities.rows });
            }
        }
        let (columns, pickers) = columns(&plan.keys, plan);
        Self { shape: plan.shape, seed: plan.seed, kinds, weights, columns, pickers }
    }

    /// Writes the `n`-th request behind `head`, and says of which kind it is.
    pub(crate) fn write(&self, n: u64, head: &Head, page: &mut Page) -> Kind {
        let mut rng = Rng::with_seed(mixed(self.seed, n));
        let point = rng.u64(0..self.weights.last().copied().unwrap_or(1));
        let kind = self.weights.partition_point(|sum| *sum <= point);
        self.write_kind(kind, &mut rng, head, page);
        kind
    }

    /// Writes a request of a kind, such as the first that a server gets.
    pub(crate) fn write_kind(&self, kind: Kind, rng: &mut Rng, head: &Head, page: &mut Page) {
        page.bytes.clear();
        page.bytes.extend_from_slice(&head.bytes);
        let Some(Each { before, rows }) = self.kinds.get(kind) else { return };
        page.bytes.extend_from_slice(before);
        page.picks.clear();
        for _ in 0..*rows {
            page.picks.extend(self.pickers.iter().map(|picker| picker.pick(rng)));
        }
        match self.shape {
            Shape::Native => self.write_rows(*rows, page),
            Shape::Feast => self.write_columns(*rows, page),
        }
        head.set_length(&mut page.bytes);
    }

    /// `[{"a":1,"b":2},...]}`
    fn write_rows(&self, rows: usize, page: &mut Page) {
        let out = &mut page.bytes;
        for row in 0..rows {
            out.push(if row == 0 { b'[' } else { b',' });
            out.push(b'{');
            for (index, column) in self.columns.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(&column.name);
                out.push(b':');
                column.write(row, self.pickers.len(), &page.picks, out);
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }

    /// `{"a":[1,...],"b":[2,...]}}`
    fn write_columns(&self, rows: usize, page: &mut Page) {
        let out = &mut page.bytes;
        out.push(b'{');
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&column.name);
            out.extend_from_slice(b":[");
            for row in 0..rows {
                if row > 0 {
                    out.push(b',');
                }
                column.write(row, self.pickers.len(), &page.picks, out);
            }
            out.push(b']');
        }
        out.extend_from_slice(b"}}");
    }
}

impl Column {
    fn write(&self, row: usize, pickers: usize, picks: &[u64], out: &mut Vec<u8>) {
        let number = picks.get(row * pickers + self.picker).copied().unwrap_or(0);
        match &self.source {
            Source::Made(values) => values.write(number, out),
            Source::File(file, column) => out.extend_from_slice(file.cell(number, *column)),
        }
    }
}

/// The head of the requests to one server, with room for the length of a body.
pub(crate) struct Head {
    bytes: Vec<u8>,
    length_at: usize,
}

impl Head {
    pub(crate) fn new(plan: &LoadPlan, target: &Target) -> Self {
        let mut text = format!(
            "POST {}{} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n",
            target.path(),
            plan.shape.route(),
            target.authority()
        );
        for (name, value) in &plan.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("content-length: ");
        let length_at = text.len();
        text.push_str(&format!("{:LENGTH_DIGITS$}\r\n\r\n", 0));
        Self { bytes: text.into_bytes(), length_at }
    }

    /// Writes the length of the body that follows. Spaces before a value are no part of it.
    fn set_length(&self, request: &mut [u8]) {
        let mut left = request.len() - self.bytes.len();
        if let Some(slot) = request.get_mut(self.length_at..self.length_at + LENGTH_DIGITS) {
            for digit in slot.iter_mut().rev() {
                *digit = b'0' + (left % 10) as u8;
                left /= 10;
                if left == 0 {
                    break;
                }
            }
        }
    }
}

/// A body up to its entities.
fn before(shape: Shape, what: &What) -> Vec<u8> {
    let (name, value) = match (shape, what) {
        (Shape::Native, What::Service(service)) => ("service", serde_json::Value::from(service.as_str())),
        (Shape::Feast, What::Service(service)) => ("feature_service", service.as_str().into()),
        (_, What::Features(features)) => ("features", features.as_slice().into()),
    };
    format!("{{\"{name}\":{value},\"entities\":").into_bytes()
}

/// The join keys, each with where it comes from. The columns of a file share a picker, so its rows stay together.
fn columns(keys: &Keys, plan: &LoadPlan) -> (Vec<Column>, Vec<Picker>) {
    let (mut columns, mut pickers) = (Vec::new(), Vec::new());
    for spec in keys.made() {
        let source = Source::Made(spec.values.clone());
        columns.push(Column { name: json_text(&spec.name), source, picker: pickers.len() });
        pickers.push(Picker::new(spec.values.count(), plan.popularity));
    }
    if let Some(file) = keys.file() {
        for (index, name) in file.names().enumerate() {
            let source = Source::File(file.clone(), index);
            columns.push(Column { name: json_text(name), source, picker: pickers.len() });
        }
        pickers.push(Picker::new(file.rows(), plan.popularity));
    }
    (columns, pickers)
}

/// A seed for each number, unlike those of its neighbours (the finalizer of SplitMix64).
pub(crate) fn mixed(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeySpec;
    use crate::pick::Popularity;
    use crate::plan::{Asked, Entities, Mode, TIMEOUT_DEFAULT};
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn plan(shape: Shape) -> LoadPlan {
        let spec = |name, text| KeySpec::parse(name, text).unwrap();
        let made = vec![spec("zip\"code", "int:5..6"), spec("user", "text:u-%03d:7..8")];
        LoadPlan {
            targets: vec![Target::parse("http://h:1/p").unwrap()],
            shape,
            headers: vec![("x-a".into(), "b".into())],
            asked: vec![Asked { what: What::Service("s".into()), weight: 1 }],
            entities: vec![Entities { rows: 2, weight: 1 }],
            keys: Keys::new(made, None).unwrap(),
            popularity: Popularity::Uniform,
            connections: 1,
            threads: 1,
            mode: Mode::Closed,
            wait: Duration::ZERO,
            warm_up: Duration::ZERO,
            duration: Duration::from_secs(1),
            timeout: TIMEOUT_DEFAULT,
            seed: 1,
        }
    }

    fn write(plan: &LoadPlan, n: u64) -> (Kind, String) {
        let mut page = Page::default();
        let kind = Maker::new(plan).write(n, &Head::new(plan, &plan.targets[0]), &mut page);
        (kind, String::from_utf8(page.bytes).unwrap())
    }

    /// Goal: requests are HTTP with JSON of either shape, and their length is right.
    #[test]
    fn shapes() {
        let native =
            r#"{"service":"s","entities":[{"zip\"code":5,"user":"u-007"},{"zip\"code":5,"user":"u-007"}]}"#;
        let feast = r#"{"feature_service":"s","entities":{"zip\"code":[5,5],"user":["u-007","u-007"]}}"#;
        for (shape, body) in [(Shape::Native, native), (Shape::Feast, feast)] {
            let head = format!(
                "POST /p{} HTTP/1.1\r\nhost: h:1\r\ncontent-type: application/json\r\nx-a: b\r\ncontent-length: {:12}\r\n\r\n",
                shape.route(),
                body.len()
            );
            assert_eq!(write(&plan(shape), 0), (0, format!("{head}{body}")));
        }
        let features = What::Features(vec!["v:a".into(), "w:*".into()]);
        let plan = LoadPlan { asked: vec![Asked { what: features, weight: 1 }], ..plan(Shape::Native) };
        assert!(write(&plan, 0).1.contains(r#"{"features":["v:a","w:*"],"entities":["#));
    }

    /// Goal: a view without an entity is asked with empty rows.
    #[test]
    fn without_keys() {
        let plan = LoadPlan { keys: Keys::new(vec![], None).unwrap(), ..plan(Shape::Native) };
        assert!(write(&plan, 0).1.ends_with(r#"{"service":"s","entities":[{},{}]}"#));
    }

    /// Goal: the same seed and number is the same request, another seed another one, and kinds come by their weights.
    #[test]
    fn drawn_from_the_seed() {
        let spec = KeySpec::parse("k", "int:0..1000000000").unwrap();
        let entities = vec![Entities { rows: 1, weight: 9 }, Entities { rows: 3, weight: 1 }];
        let keys = Keys::new(vec![spec], None).unwrap();
        let plan = LoadPlan { entities, keys, ..plan(Shape::Feast) };
        let mut kinds = BTreeMap::<Kind, u32>::new();
        let mut distinct = std::collections::HashSet::new();
        for n in 0..2_000 {
            let (kind, text) = write(&plan, n);
            assert_eq!(write(&plan, n), (kind, text.clone()));
            *kinds.entry(kind).or_default() += 1;
            distinct.insert(text);
        }
        assert!(distinct.len() > 1_990, "{}", distinct.len());
        assert!((1_700..1_900).contains(&kinds[&0]) && kinds.len() == 2, "{kinds:?}");
        assert_ne!(write(&LoadPlan { seed: 2, ..plan.clone() }, 0), write(&plan, 0));
    }

    /// Goal: the columns of a file come from the same row.
    #[test]
    fn rows_of_a_file_stay_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.csv");
        let rows: String = (0..50).map(|n| format!("{n},x{n}\n")).collect();
        std::fs::write(&path, format!("a:int,b\n{rows}")).unwrap();
        let file = KeysFile::read(&path).unwrap();
        for popularity in [Popularity::Uniform, Popularity::Zipf { exponent: 1.0 }] {
            let keys = Keys::new(vec![], Some(file.clone())).unwrap();
            let plan = LoadPlan { keys, popularity, ..plan(Shape::Native) };
            let text = write(&plan, 3).1;
            let body: serde_json::Value =
                serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap();
            for row in body["entities"].as_array().unwrap() {
                assert_eq!(row["b"], format!("x{}", row["a"]));
            }
        }
    }
}
